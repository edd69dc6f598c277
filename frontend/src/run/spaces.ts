// What is asked of layers as a whole: how classes lie in them, how alike they are, what is noise.

import { kept, lately, type Asking } from "./asking";
import { geometryOf, similarityOf, type Geometry, type Similarity } from "./resources";

export class OfLayers {
  private readonly similarities = new Map<number, Promise<Similarity>>();
  private readonly floors = new Map<string, Promise<Float32Array>>();

  constructor(private readonly asking: Asking) {}

  /** Takes over what an earlier state was told, which is still true. */
  keep(earlier: OfLayers): void {
    kept(earlier.floors, this.floors);
  }

  /** What is known by now; the server goes on while it is asked. */
  async geometry(): Promise<Geometry> {
    return geometryOf(await this.asking.fetch(`${this.asking.at("geometry")}.st`));
  }

  /** How alike the layers at a snapshot are to those at the last. */
  similarity(t: number): Promise<Similarity> {
    return lately(this.similarities, t, async () =>
      similarityOf(await this.asking.fetch(`${this.asking.at("similarity")}/${t}.st`)),
    );
  }

  /** Strength under permuted labels, by layer, at a snapshot; not asked for twice at once. */
  floor(t: number): Promise<Float32Array> {
    return lately(this.floors, String(t), async () =>
      (await this.asking.fetch(`${this.asking.base("true")}/floor/${t}.st`)).get("floor", "F32"),
    );
  }
}
