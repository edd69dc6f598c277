// Encoded frames as an MP4 that begins with its index (ISO/IEC 14496-12): one track of video, all frames
// equally long.

/** A frame as the encoder gave it, in the order in which frames are decoded. */
export interface Encoded {
  data: Uint8Array<ArrayBuffer>;
  /** Its place among the frames that are shown. */
  shown: number;
  key: boolean;
}

export interface Video {
  width: number;
  height: number;
  /** Frames a second. */
  rate: number;
  /** As the encoder says that they are decoded: H.264, VP9 or AV1. */
  config: Pick<VideoDecoderConfig, "codec" | "description">;
  frames: readonly Encoded[];
}

/** Bytes: places in the file are told in 32 bits. */
const MOST = 2 ** 32 - 1;
/** Parts of a second that one frame is counted in. */
const UNITS = 1000;
const MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000];

/** The file, in pieces: all but the first are the frames themselves. */
export function mp4Of(video: Video): Uint8Array<ArrayBuffer>[] {
  const { frames } = video;
  const begin = box("ftyp", text("isom"), u32(512), text("isomiso2avc1mp41"));
  const size = frames.reduce((sum, { data }) => sum + data.length, 0);
  // an index is as long wherever the frames are
  const before = begin.length + index(video, 0).length + 8;
  if (before + size > MOST)
    throw new Error("The film would be larger than 4 GB; save a part of it.");
  const head = joined([begin, index(video, before), u32(size + 8), text("mdat")]);
  return [head, ...frames.map(({ data }) => data)];
}

function index(video: Video, start: number): Uint8Array<ArrayBuffer> {
  const { width, height, rate, frames } = video;
  const scale = rate * UNITS;
  const length = frames.length * UNITS;
  // a frame is shown no sooner than it is decoded; where some come out of order, all are shown later
  const late = Math.max(0, ...frames.map(({ shown }, i) => i - shown));
  const waits = frames.map(({ shown }, i) => (shown - i + late) * UNITS);
  const keys = frames.flatMap(({ key }, i) => (key ? [i + 1] : []));
  let at = start;
  const places = frames.map(({ data }) => (at += data.length) - data.length);
  const table = box(
    "stbl",
    full("stsd", 0, u32(1), sample(video)),
    full("stts", 0, u32(1, frames.length, UNITS)),
    ...(late > 0 ? [full("ctts", 0, u32(frames.length, ...waits.flatMap((w) => [1, w])))] : []),
    full("stss", 0, u32(keys.length, ...keys)),
    full("stsc", 0, u32(1, 1, 1, 1)),
    full("stsz", 0, u32(0, frames.length, ...frames.map(({ data }) => data.length))),
    full("stco", 0, u32(frames.length, ...places)),
  );
  const media = box(
    "mdia",
    full("mdhd", 0, u32(0, 0, scale, length), u16(0x55c4, 0)), // no language
    full("hdlr", 0, u32(0), text("vide"), u32(0, 0, 0), text("\0")),
    box(
      "minf",
      full("vmhd", 1, u16(0, 0, 0, 0)),
      box("dinf", full("dref", 0, u32(1), full("url ", 1))),
      table,
    ),
  );
  const track = box(
    "trak",
    full(
      "tkhd",
      3, // enabled, in the film
      u32(0, 0, 1, 0, length, 0, 0, 0, 0, ...MATRIX, width << 16, height << 16),
    ),
    ...(late > 0 ? [box("edts", full("elst", 0, u32(1, length, late * UNITS, 0x10000)))] : []),
    media,
  );
  const film = u32(0, 0, scale, length, 0x10000, 0x1000000, 0, 0, ...MATRIX, 0, 0, 0, 0, 0, 0, 2);
  return box("moov", full("mvhd", 0, film), track);
}

/** What a decoder must know: the codec's own part, and that colors are BT.709's. */
function sample({ width, height, config }: Video): Uint8Array<ArrayBuffer> {
  const [name, ...told] = config.codec.split(".");
  const size = [
    ...[u16(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, width, height), u32(0x480000, 0x480000, 0)],
    ...[u16(1), new Uint8Array(32), u16(24, 0xffff)],
  ];
  const colors = box("colr", text("nclx"), u16(1, 1, 1), new Uint8Array(1));
  return box(name, ...size, decoder(name, told, config.description), colors);
}

function decoder(
  name: string,
  told: readonly string[],
  description: AllowSharedBufferSource | undefined,
): Uint8Array {
  const own = description && bytesOf(description);
  const [profile, level, depth] = told.map((part) => parseInt(part, 10));
  if (name === "avc1" && own) return box("avcC", own);
  if (name === "vp09")
    return full("vpcC", 0x1000000, Uint8Array.of(profile, level, (depth << 4) | 2, 1, 1, 1, 0, 0));
  if (name === "av01") {
    const tier = told[1].endsWith("H") ? 0x80 : 0;
    const spelled = Uint8Array.of(
      0x81,
      (profile << 5) | level,
      tier | (depth > 8 ? 0x4c : 0x0c),
      0,
    );
    return box("av1C", own ?? spelled);
  }
  throw new Error(`The browser's encoder made ${name}, which has no place in an MP4 here.`);
}

function bytesOf(from: AllowSharedBufferSource): Uint8Array {
  if (!ArrayBuffer.isView(from)) return new Uint8Array(from);
  return new Uint8Array(from.buffer, from.byteOffset, from.byteLength);
}

function box(name: string, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const size = parts.reduce((sum, part) => sum + part.length, 8);
  return joined([u32(size), text(name), ...parts]);
}

/** @param flags with the box's version in the highest of their four bytes. */
const full = (name: string, flags: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  box(name, u32(flags), ...parts);

const text = (of: string): Uint8Array => Uint8Array.from(of, (c) => c.charCodeAt(0));

const u32 = (...values: readonly number[]): Uint8Array =>
  Uint8Array.from(values.flatMap((v) => [v >>> 24, v >>> 16, v >>> 8, v]));

const u16 = (...values: readonly number[]): Uint8Array =>
  Uint8Array.from(values.flatMap((v) => [v >>> 8, v]));

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
