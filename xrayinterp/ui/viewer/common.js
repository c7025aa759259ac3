// What the viewer and the grid of films share. Each of them is sent to the browser with this file before it.

function decode(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// A film's PNG as a canvas and its grey values.
async function openFilm(png) {
  const bitmap = await createImageBitmap(new Blob([decode(png)], { type: "image/png" }));
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const grey = new Uint8Array(bitmap.width * bitmap.height);
  for (let i = 0; i < grey.length; i++) grey[i] = rgba[4 * i];
  return { canvas, grey };
}

function paintFilm({ canvas, grey }, { black, white, invert }) {
  const lookup = new Uint8ClampedArray(256);
  for (let v = 0; v < 256; v++) {
    const shown = (255 * (v - black)) / (white - black);
    lookup[v] = invert ? 255 - clamp(shown, 0, 255) : shown;
  }
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < words.length; i++) {
    const shown = lookup[grey[i]];
    words[i] = 0xff000000 | (shown << 16) | (shown << 8) | shown;
  }
  context.putImageData(image, 0, 0);
}

// A map's cells, each the number of its colour in `palette` (256 times red, green, blue, alpha).
function paintCells(canvas, width, height, shades, palette) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  shades.forEach((shade, i) => image.data.set(palette.subarray(4 * shade, 4 * shade + 4), 4 * i));
  context.putImageData(image, 0, 0);
}

function paintRamp(canvas, palette) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (let x = 0; x < canvas.width; x++) {
    const at = 4 * Math.round((255 * x) / (canvas.width - 1));
    context.fillStyle = `rgba(${palette[at]},${palette[at + 1]},${palette[at + 2]},${palette[at + 3] / 255})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}

