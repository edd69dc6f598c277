// Sentences as far as there is room in a picture.

type Measure = Pick<CanvasRenderingContext2D, "measureText">;

/** One line, cut at its end. */
export function cut(g: Measure, text: string, room: number): string {
  if (g.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 0 && g.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}

/** Up to so many lines; what has no room in the last of them is cut. */
export function lines(g: Measure, text: string, room: number, most: number): string[] {
  const found: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (line && found.length < most - 1 && g.measureText(longer).width > room) {
      found.push(line);
      line = word;
    } else line = longer;
  }
  return [...found, line].map((one) => cut(g, one, room));
}
