// What is asked of classes that are taken for each other.

import { kept, lately, once, type Asking } from "./asking";
import { cellSamplesOf, cellUnitsOf, confusionOf } from "./resources";
import type { CellSamples, CellUnits, Confusion } from "./resources";

export class OfClasses {
  private readonly confusions = new Map<number, Promise<Confusion>>();
  private readonly confusionOnce = new Map<string, Promise<Confusion>>();
  private readonly cells = new Map<string, Promise<CellSamples>>();
  private readonly drivers = new Map<string, Promise<CellUnits>>();
  private readonly likenesses = new Map<string, Promise<Uint32Array>>();

  constructor(private readonly asking: Asking) {}

  /** Takes over what an earlier state was told, which is still true. */
  keep(earlier: OfClasses): void {
    kept(earlier.confusions, this.confusions);
    kept(earlier.drivers, this.drivers);
  }

  /** Of one snapshot. */
  confusionAt(t: number): Promise<Confusion> {
    return lately(this.confusions, t, async () =>
      confusionOf(await this.asking.fetch(`${this.asking.at("confusion")}/${t}.st`)),
    );
  }

  /** Of all snapshots; null where that would be too much, or there is none. */
  async confusion(): Promise<Confusion | null> {
    if (!this.asking.has("confusion")) return null;
    return once(this.confusionOnce, "", async () =>
      confusionOf(await this.asking.fetch(`${this.asking.at("confusion")}.st`)),
    );
  }

  /** Classes in an order in which those that are alike to the network stand side by side. */
  alike(): Promise<Uint32Array> {
    return once(this.likenesses, "", async () =>
      (await this.asking.fetch(`${this.asking.at("alike")}.st`)).get("order", "U32"),
    );
  }

  cellSamples(t: number, row: number, column: number): Promise<CellSamples> {
    const key = `${t}/${row}/${column}`;
    return lately(this.cells, key, async () =>
      cellSamplesOf(await this.asking.fetch(`${this.asking.at("cell")}/${key}/samples.st`)),
    );
  }

  cellUnits(t: number, row: number, column: number): Promise<CellUnits> {
    const key = `${t}/${row}/${column}`;
    return lately(this.drivers, key, async () =>
      cellUnitsOf(await this.asking.fetch(`${this.asking.at("cell")}/${key}/units.st`)),
    );
  }
}
