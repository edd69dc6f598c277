// The part of the page that makes films: a file of its own (film.js), loaded when one is asked for.

import type { FilmMaker } from "./film";
import { makeGif } from "./gif";
import { makeMp4 } from "./mp4";

const maker: FilmMaker = { makeGif, makeMp4 };
dispatchEvent(new CustomEvent("huelapse-film", { detail: maker }));
