// Pictures to an MP4, by the browser's own encoder.

import {
  BufferTarget,
  EncodedPacket,
  EncodedVideoPacketSource,
  Mp4OutputFormat,
  Output,
} from "mediabunny";
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
  const target = new BufferTarget();
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: "in-memory" }), target });
  const track = new EncodedVideoPacketSource(film.codec.container);
  output.addVideoTrack(track, { frameRate: RATE });
  await output.start();

  let failed: unknown = null;
  let written = Promise.resolve();
  const encoder = new VideoEncoder({
    output: (chunk, meta) => {
      // one after another, in the order in which they come
      written = written.then(() => track.add(EncodedPacket.fromEncodedChunk(chunk), meta));
      written.catch((error: unknown) => (failed ??= error));
    },
    error: (error) => (failed ??= error),
  });
  try {
    encoder.configure({ ...film.codec.config, framerate: RATE });
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
    await written;
    if (failed) throw failed;
    signal.throwIfAborted();
    await output.finalize();
    return new Blob([target.buffer as ArrayBuffer], { type: "video/mp4" });
  } catch (error) {
    await output.cancel().catch(() => undefined);
    throw failed ?? error;
  } finally {
    if (encoder.state !== "closed") encoder.close();
  }
}
