// Pictures to an MP4, by the browser's own encoder.

import { mp4Of, type Encoded } from "./container";
import { pause, unless } from "./pace";
import { BT709, toYuv } from "./yuv";
import { LAST, RATE, STANDS, type Film } from "./film";

/** So many frames after which a player can begin: a jump in the film need not decode all before it. */
const KEY_EVERY = 40;
/** Frames that wait for the encoder: each is some megabytes. */
const WAITING = 4;
const MICROSECONDS = 1e6;

export async function makeMp4(film: Film): Promise<Blob> {
  const { width, height, pictures, signal } = film;
  const frames: Encoded[] = [];
  let config: VideoDecoderConfig | undefined;
  let failed: unknown = null;
  const encoder = new VideoEncoder({
    output: (chunk, meta) => {
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      const shown = Math.round((chunk.timestamp * RATE) / MICROSECONDS);
      frames.push({ data, shown, key: chunk.type === "key" });
      config ??= meta?.decoderConfig;
    },
    error: (error) => (failed ??= error),
  });
  try {
    encoder.configure({ ...film.codec, framerate: RATE });
    const yuv = new Uint8Array((width * height * 3) / 2);
    for (let i = 0, frame = 0; i < pictures; i++) {
      signal.throwIfAborted();
      toYuv(await unless(signal, film.picture(i)), width, height, yuv);
      for (let n = i === pictures - 1 ? LAST : STANDS; n > 0; n--, frame++) {
        const shown = new VideoFrame(yuv, {
          format: "I420",
          codedWidth: width,
          codedHeight: height,
          timestamp: (frame * MICROSECONDS) / RATE,
          duration: MICROSECONDS / RATE,
          colorSpace: BT709,
        });
        encoder.encode(shown, { keyFrame: frame % KEY_EVERY === 0 });
        shown.close();
        while (encoder.encodeQueueSize > WAITING && !failed) await pause();
      }
      if (failed) throw failed;
      film.made(i + 1);
      await pause();
    }
    await encoder.flush();
    if (failed) throw failed;
    signal.throwIfAborted();
    if (!config) throw new Error("The browser's encoder did not say how its frames are decoded.");
    const file = mp4Of({ width, height, rate: RATE, config, frames });
    return new Blob(file, { type: "video/mp4" });
  } catch (error) {
    throw failed ?? error;
  } finally {
    if (encoder.state !== "closed") encoder.close();
  }
}
