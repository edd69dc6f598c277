// What is asked of units, one by one or those of a layer.

import { kept, lately, once, type Asking } from "./asking";
import { eventsOf, unitHistoryOf, unitTableOf } from "./resources";
import type { Events, UnitHistory, UnitTable } from "./resources";

export class OfUnits {
  private readonly histories = new Map<string, Promise<UnitHistory>>();
  private readonly heats = new Map<string, Promise<Uint8Array>>();
  private readonly tables = new Map<string, Promise<UnitTable>>();
  private readonly happenings = new Map<string, Promise<Events>>();
  private readonly reasons = new Map<string, Promise<Record<string, string>>>();

  constructor(private readonly asking: Asking) {}

  /** Takes over what an earlier state was told, which is still true. */
  keep(earlier: OfUnits): void {
    kept(earlier.heats, this.heats);
  }

  history(groupingName: string, unit: number): Promise<UnitHistory> {
    return lately(this.histories, `${groupingName}/${unit}`, async () =>
      unitHistoryOf(await this.asking.fetch(`${this.asking.base(groupingName)}/unit/${unit}.st`)),
    );
  }

  /** How each unit of a layer responds to each class, `[class, unit]`, NO_HEAT where unknown. */
  heat(groupingName: string, t: number, layer: number): Promise<Uint8Array> {
    return lately(this.heats, `${groupingName}/${t}/${layer}`, async () =>
      (await this.asking.fetch(`${this.asking.at(groupingName)}/heat/${t}/${layer}.st`)).get(
        "heat",
        "U8",
      ),
    );
  }

  /** Each unit of a layer in numbers. */
  table(groupingName: string, t: number, layer: number): Promise<UnitTable> {
    return lately(this.tables, `${groupingName}/${t}/${layer}`, async () =>
      unitTableOf(
        await this.asking.fetch(`${this.asking.base(groupingName)}/table/${t}/${layer}.st`),
      ),
    );
  }

  /** What happened to units, in order of time. */
  events(groupingName: string): Promise<Events> {
    return once(this.happenings, groupingName, async () =>
      eventsOf(await this.asking.fetch(`${this.asking.base(groupingName)}/events.st`)),
    );
  }

  /** Why snapshots of a grouping cannot be read back, by their number. */
  damaged(groupingName: string): Promise<Record<string, string>> {
    return once(this.reasons, groupingName, () =>
      this.asking.json<Record<string, string>>(`${this.asking.base(groupingName)}/damaged.json`),
    );
  }
}
