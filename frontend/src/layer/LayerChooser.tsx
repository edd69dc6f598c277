import { Chooser } from "../frame/Chooser";
import { count, plural } from "../format";
import type { Session } from "../run/session";

/** Which layer a view shows. */
export function LayerChooser(of: { open: Session; l: number; onChoose: (l: number) => void }) {
  const { open, l, onChoose } = of;
  return (
    <Chooser
      label="Layer"
      value={String(l)}
      options={open.layers.map(({ kind, units }, i) => ({
        value: String(i),
        name: open.names[i],
        about: `${kind}, ${count(units)} ${plural(units, "unit")}`,
      }))}
      testId="layer"
      onChoose={(value) => onChoose(Number(value))}
    />
  );
}
