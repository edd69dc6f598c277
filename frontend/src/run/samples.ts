// What is asked of samples: how each is read, what it drives, its picture.

import { kept, lately, once, type Asking } from "./asking";
import { drivenOf, picturesOf, sampleHistoryOf, samplesOf } from "./resources";
import type { Driven, Pictures, SampleHistory, Samples } from "./resources";

export class OfSamples {
  private readonly samplings = new Map<number, Promise<Samples>>();
  private readonly singles = new Map<number, Promise<SampleHistory>>();
  private readonly driven = new Map<string, Promise<Driven>>();
  private readonly pages = new Map<number, Promise<Pictures>>();

  constructor(private readonly asking: Asking) {}

  /** Takes over what an earlier state was told, which is still true. */
  keep(earlier: OfSamples): void {
    kept(earlier.samplings, this.samplings);
    kept(earlier.driven, this.driven);
    kept(earlier.pages, this.pages);
  }

  /** How each sample is read at a snapshot. */
  samples(t: number): Promise<Samples> {
    return lately(this.samplings, t, async () =>
      samplesOf(await this.asking.fetch(`${this.asking.at("samples")}/${t}.st`)),
    );
  }

  sampleHistory(sample: number): Promise<SampleHistory> {
    return lately(this.singles, sample, async () =>
      sampleHistoryOf(await this.asking.fetch(`${this.asking.at("sample")}/${sample}.st`)),
    );
  }

  /** Units that a sample drives most at a snapshot, in standard deviations. */
  drivenBy(sample: number, t: number): Promise<Driven> {
    return lately(this.driven, `${sample}/${t}`, async () =>
      drivenOf(await this.asking.fetch(`${this.asking.at("sample")}/${sample}/${t}.st`)),
    );
  }

  /** Pictures of a page of samples; see `THUMBNAILS`. */
  pictures(page: number): Promise<Pictures> {
    return once(this.pages, page, async () =>
      picturesOf(await this.asking.fetch(`${this.asking.at("thumbnails")}/${page}.st`)),
    );
  }
}
