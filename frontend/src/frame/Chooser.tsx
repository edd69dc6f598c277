// A native list whose entries say what they are, while its closed form stays short.

import { useEffect, useRef, useState } from "preact/hooks";

interface Option {
  value: string;
  /** What the closed form shows. */
  name: string;
  about: string;
}

interface Chooser {
  label: string;
  /** The label is dropped where room is short. */
  wide?: boolean;
  /** The label is for those who listen alone. */
  bare?: boolean;
  value: string;
  options: readonly Option[];
  testId: string;
  /** What is chosen may take its time; until then the one before is shown. */
  onChoose: (value: string) => void | Promise<void>;
}

export function Chooser({
  label,
  wide = false,
  bare = false,
  value,
  options,
  testId,
  onChoose,
}: Chooser) {
  const select = useRef<HTMLSelectElement>(null);
  const [waiting, setWaiting] = useState(0);
  useEffect(() => {
    // What could not be loaded is not chosen, and can be chosen again.
    if (waiting === 0 && select.current) select.current.value = value;
  }, [waiting, value]);
  const choose = async (wanted: string): Promise<void> => {
    setWaiting((n) => n + 1);
    await onChoose(wanted);
    setWaiting((n) => n - 1);
  };
  const chosen = options.find((option) => option.value === value);
  return (
    <label class="field chooser" aria-busy={waiting > 0} title={chosen?.about || undefined}>
      <span class={bare ? "hidden" : wide ? "label wide" : "label"}>{label}</span>
      <span class="closed">
        <span class="choice path" aria-hidden="true">
          {chosen?.name ?? value}
        </span>
        <select
          ref={select}
          value={value}
          data-testid={testId}
          aria-label={label}
          onChange={(event) => void choose(event.currentTarget.value)}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.about ? `${option.name} – ${option.about}` : option.name}
            </option>
          ))}
        </select>
      </span>
    </label>
  );
}
