// What the page asks of this server, and pictures as canvases.

const TRIES = 6; // for a photo that a busy server puts off
const THUMB = 160; // pixels of a face on the sheet
const LONGEST = 1600; // longest side of the photo that is shown
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// The faces of a photo; throws an Error with the server's reason and, where it answered, the `status`.
export async function ask(blob, token) {
  for (let tried = 1; ; tried += 1) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch("faces", { method: "POST", body: blob, headers });
    const after = Number(answer.headers.get("Retry-After"));
    if (after && tried < TRIES) {
      await pause(after * tried);
      continue;
    }
    const told = await answer.json().catch(() => ({ detail: `the server answers ${answer.status}` }));
    if (!answer.ok) throw Object.assign(new Error(told.detail), { status: answer.status });
    return told;
  }
}

// A photo as it is (`whole`, to be closed), and as a canvas that is shown.
export async function small(blob) {
  const whole = await createImageBitmap(blob);
  const shrunk = Math.min(1, LONGEST / Math.max(whole.width, whole.height));
  const picture = document.createElement("canvas");
  picture.width = Math.max(1, Math.round(whole.width * shrunk));
  picture.height = Math.max(1, Math.round(whole.height * shrunk));
  const pen = picture.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(whole, 0, 0, picture.width, picture.height);
  return { whole, picture, scale: picture.width / whole.width };
}

// The part of a photo around a face.
export function thumb(whole, box) {
  const [x, y, width, height] = box;
  const side = 1.3 * Math.max(width, height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMB;
  const pen = canvas.getContext("2d");
  pen.drawImage(whole, x + (width - side) / 2, y + (height - side) / 2, side, side, 0, 0, THUMB, THUMB);
  return canvas;
}
