// Photos -> this server's /faces -> boxes with scores, a sheet of faces, a CSV. Nothing is loaded from elsewhere.

import { ask, small, thumb } from "./asking.js";

const AT_ONCE = 2; // requests at a time
const POINTS = ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"];
const COLUMNS = [
  "path", "face", "quality", "confidence", "x", "y", "width", "height",
  ...POINTS.flatMap((point) => [`${point}_x`, `${point}_y`]), "accepted", "outcome", "reason",
];

const find = (id) => document.getElementById(id);
const photos = []; // {name, blob, faces, error}; a face has its photo and a thumb
const waiting = []; // {name, blob}
let running = 0;
let shown = null; // {photo, picture, scale} in the viewer
let marked = null; // face in it
let token = "";
let stream = null; // of the webcam
let frame = null; // its last picture with faces

const threshold = () => Number(find("threshold").value);
const some = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
const accepts = (face) => face.quality >= threshold();

function add(files) {
  for (const file of files) waiting.push({ name: file.name || "pasted", blob: file });
  while (running < AT_ONCE && waiting.length) work();
  tell();
}

async function work() {
  running += 1;
  while (waiting.length) {
    const { name, blob } = waiting.shift();
    tell();
    try {
      keep(name, blob, await small(blob), await faces(blob));
    } catch (error) {
      refuse(name, error);
    }
  }
  running -= 1;
  tell();
}

async function faces(blob) {
  try {
    const told = await ask(blob, token);
    find("model").textContent = `${told.model}, ${told.precision}. Photos go to this server and nowhere else.`;
    return told.faces;
  } catch (error) {
    if (error.status === 401) find("entry").hidden = false;
    throw error;
  }
}

function keep(name, blob, { whole, picture, scale }, found) {
  const photo = { name, blob, faces: found, error: "" };
  for (const face of found) Object.assign(face, { photo, thumb: thumb(whole, face.box) });
  whole.close();
  photos.push(photo);
  shown = { photo, picture, scale };
  marked = found[0] || null;
  fit();
  draw();
}

function refuse(name, error) {
  const reason = error instanceof DOMException ? "this browser cannot show it" : error.message;
  photos.push({ name, faces: [], error: reason });
  const line = document.createElement("li");
  line.textContent = `${name}: ${reason}`;
  find("problems").append(line);
  draw();
}

function tell() {
  const left = waiting.length + running;
  const faceCount = photos.reduce((sum, photo) => sum + photo.faces.length, 0);
  const done = `${some(photos.length, "photo")}, ${some(faceCount, "face")}`;
  find("status").textContent = left ? `${done}, ${left} to go` : photos.length ? done : "";
}

// --- showing

function fit() {
  const all = photos.flatMap((photo) => photo.faces.map((face) => face.quality));
  const slider = find("threshold");
  const low = Math.min(0, ...all.map(Math.floor));
  const high = Math.max(1, ...all.map(Math.ceil));
  const lowest = slider.value === slider.min;
  slider.step = (high - low) / 200;
  slider.min = low;
  slider.max = high;
  if (lowest) slider.value = low;
}

async function look(face) {
  marked = face;
  if (!shown || shown.photo !== face.photo) {
    const { whole, picture, scale } = await small(face.photo.blob);
    whole.close();
    shown = { photo: face.photo, picture, scale };
  }
  draw();
  find("view").scrollIntoView({ block: "nearest" });
}

function paint(canvas, { photo, picture, scale }) {
  canvas.width = picture.width;
  canvas.height = picture.height;
  const pen = canvas.getContext("2d");
  const line = Math.max(2, Math.round(Math.max(canvas.width, canvas.height) / 300));
  pen.drawImage(picture, 0, 0);
  pen.font = `600 ${7 * line}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  for (const face of photo.faces) {
    const [x, y, width, height] = face.box.map((value) => value * scale);
    const text = `${accepts(face) ? "✓" : "✗"} ${face.quality.toFixed(2)}`;
    const room = pen.measureText(text).width + 4 * line;
    const top = Math.max(y, 9 * line);
    const left = Math.max(0, Math.min(x, canvas.width - room));
    pen.strokeStyle = pen.fillStyle = accepts(face) ? "#14713a" : "#b3261e";
    pen.lineWidth = face === marked ? 2 * line : line;
    pen.setLineDash(accepts(face) ? [] : [4 * line, 2 * line]);
    pen.strokeRect(x, y, width, height);
    pen.fillRect(left, top - 9 * line, room, 9 * line);
    pen.fillStyle = "#ffffff";
    pen.fillText(text, left + 2 * line, top - line);
  }
}

function draw() {
  const all = photos.flatMap((photo) => photo.faces).sort((a, b) => b.quality - a.quality);
  find("results").hidden = !photos.length && !stream;
  find("least").textContent = threshold().toFixed(2);
  find("count").textContent = `${all.filter(accepts).length} of ${all.length} accepted`;
  const current = stream ? frame : shown;
  find("viewer").hidden = !current;
  if (current) {
    paint(find("view"), current);
    const { name, faces: inside } = current.photo;
    find("caption").textContent = `${name}: ${some(inside.length, "face")}`;
  }
  const sheet = find("sheet");
  const focused = sheet.contains(document.activeElement) ? marked : null;
  sheet.replaceChildren(...all.map(tile));
  if (focused && focused.tile) focused.tile.focus();
}

function tile(face) {
  const item = document.createElement("div");
  item.setAttribute("role", "listitem");
  const button = document.createElement("button");
  button.type = "button";
  button.className = accepts(face) ? "" : "poor";
  const score = document.createElement("b");
  score.textContent = `${accepts(face) ? "✓" : "✗"} ${face.quality.toFixed(3)}`;
  const name = document.createElement("small");
  name.textContent = name.title = face.photo.name;
  button.setAttribute("aria-label", `${face.quality.toFixed(3)}, ${accepts(face) ? "accepted" : "rejected"}, ${face.photo.name}`);
  button.append(face.thumb, score, name);
  button.addEventListener("click", () => look(face));
  button.addEventListener("focus", () => { marked = face; });
  face.tile = button;
  item.append(button);
  return item;
}

function step(event) {
  const tiles = [...find("sheet").querySelectorAll("button")];
  const at = tiles.indexOf(document.activeElement);
  const across = tiles.filter((each) => each.offsetTop === tiles[0].offsetTop).length;
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + across, ArrowUp: at - across, Home: 0, End: tiles.length - 1 }[event.key];
  if (at < 0 || to === undefined || !tiles[to]) return;
  event.preventDefault();
  tiles[to].focus();
}

// --- keeping

function rows() {
  return photos.flatMap(({ name, faces, error }) => {
    if (!faces.length) return [[name, ...Array(COLUMNS.length - 3).fill(""), error ? "refused" : "no face", error]];
    return faces.map((face, number) => [
      name, number, face.quality, face.confidence, ...face.box, ...face.landmarks.flat(),
      accepts(face) ? "True" : "False", "scored", "",
    ]);
  });
}

function csv() {
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return [COLUMNS, ...rows()].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "faces.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function clear() {
  waiting.length = photos.length = 0;
  shown = marked = null;
  find("problems").replaceChildren();
  draw();
  tell();
}

// --- webcam

async function toggle() {
  const on = !stream;
  if (on) {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    } catch (error) {
      find("status").textContent = `No webcam: ${error.message}`;
      return;
    }
    watch(stream);
  } else {
    for (const track of stream.getTracks()) track.stop();
    stream = frame = null;
  }
  find("camera").setAttribute("aria-pressed", String(on));
  find("camera").textContent = on ? "Stop webcam" : "Webcam";
  find("keep").hidden = !on;
  draw();
}

async function watch(source) {
  const video = document.createElement("video");
  video.muted = video.playsInline = true;
  video.srcObject = source;
  try {
    await video.play();
    while (stream === source) {
      const still = document.createElement("canvas");
      still.width = video.videoWidth;
      still.height = video.videoHeight;
      still.getContext("2d").drawImage(video, 0, 0);
      const blob = await new Promise((done) => still.toBlob(done, "image/jpeg", 0.92));
      const found = await faces(blob);
      if (stream !== source) return;
      frame = { photo: { name: "Webcam", faces: found }, picture: still, scale: 1, blob };
      fit();
      draw();
    }
  } catch (error) {
    if (stream === source) toggle();
    find("status").textContent = `Webcam: ${error.message}`;
  }
}

async function keepFrame() {
  if (!frame) return;
  const { photo, blob } = frame;
  keep(`webcam-${photos.length + 1}.jpg`, blob, await small(blob), photo.faces.map((face) => ({ ...face })));
  tell();
}

// --- what a person does

find("choose").addEventListener("click", () => find("files").click());
find("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});
find("camera").addEventListener("click", toggle);
find("keep").addEventListener("click", keepFrame);
find("threshold").addEventListener("input", draw);
find("csv").addEventListener("click", download);
find("clear").addEventListener("click", clear);
find("sheet").addEventListener("keydown", step);
find("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim();
  find("entry").hidden = true;
  find("status").textContent = "Give the photos again.";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  window.addEventListener(kind, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") add(event.dataTransfer.files);
  });
}
window.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add(event.clipboardData.files);
});
