// A native list whose entries say what they are, while its closed form stays short.

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
  value: string;
  options: readonly Option[];
  testId: string;
  onChoose: (value: string) => void;
}

export function Chooser({ label, wide = false, value, options, testId, onChoose }: Chooser) {
  const chosen = options.find((option) => option.value === value);
  return (
    <label class="field chooser" title={chosen?.about || undefined}>
      <span class={wide ? "label wide" : "label"}>{label}</span>
      <span class="closed">
        <span class="choice path" aria-hidden="true">
          {chosen?.name ?? value}
        </span>
        <select
          value={value}
          data-testid={testId}
          aria-label={label}
          onChange={(event) => onChoose(event.currentTarget.value)}
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
