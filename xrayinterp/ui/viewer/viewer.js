// Draws a film, and beside or over it a map, on one canvas.
// Window, zoom and overlay live here and not in Plotly: a heatmap of a film took 200 ms for each step of a slider,
// forgot the reader's window whenever another finding was chosen, and its sliders cannot be reached by keyboard.

const viewers = new WeakMap();

export default function ({ parentElement, data }) {
  let viewer = viewers.get(parentElement);
  if (!viewer) {
    viewer = new Viewer(parentElement);
    viewers.set(parentElement, viewer);
  }
  viewer.update(data);
  return () => {
    viewer.close();
    viewers.delete(parentElement);
  };
}

const OUTLINE_WIDTH = 2;
const DASH = [7, 5];
const TEAL = "#4fb3bf";
const WHITE = "#ffffff";

class Viewer {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector("canvas.film");
    this.context = this.canvas.getContext("2d");
    this.film = null;
    this.overlay = document.createElement("canvas");
    this.filmId = null;
    this.display = {};
    this.bindControls();
    this.bindPointer();
    this.bindKeys();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
  }

  close() {
    this.observer.disconnect();
  }

  find(name) {
    return this.root.querySelector(`[name="${name}"]`);
  }

  // ---- data from the page

  async update(data) {
    this.latest = data;
    if (data.film.id !== this.filmId) {
      this.filmId = data.film.id;
      this.opening = openFilm(data.film.png);
    }
    const film = await this.opening;
    if (data !== this.latest) return; // later data overtook these while a film was decoded
    this.data = data;
    this.canvas.setAttribute("aria-label", data.alt);
    if (film !== this.film) this.open(film);
    this.reveal();
    this.paintOverlay();
    this.describe();
    this.draw();
  }

  // a map that was just asked for is shown without a second click, once
  reveal() {
    const asked = this.data.map?.asked || null;
    if (asked && asked !== this.asked) this.display.map = true;
    this.asked = asked;
  }

  open(film) {
    this.film = film;
    this.asked = null;
    this.display = { black: 0, white: 255, opacity: 55, invert: false, map: false, pair: true, outline: false,
      smooth: false, frame: false, region: true, anatomy: false };
    this.fillPresets();
    this.resetView();
  }

  fillPresets() {
    const select = this.find("preset");
    select.replaceChildren(...this.data.presets.map((p) => new Option(p.name, p.name)), new Option("Own", "own"));
  }

  paintOverlay() {
    const map = this.data.map;
    if (!map) return;
    map.cells = new Float32Array(decode(map.values).buffer);
    const palette = decode(map.palette);
    const shades = Uint8Array.from(map.cells, (value) => {
      const share = map.peak > map.floor ? clamp((value - map.floor) / (map.peak - map.floor), -1, 1) : 0;
      return Math.round(255 * (map.signed ? (share + 1) / 2 : Math.max(share, 0)));
    });
    paintCells(this.overlay, map.width, map.height, shades, palette);
    paintRamp(this.root.querySelector(".ramp"), palette);
  }

  // ---- geometry: `view` is the film point at the middle of a pane and the magnification over "fits the pane"

  resetView() {
    this.view = { x: this.film.canvas.width / 2, y: this.film.canvas.height / 2, zoom: 1 };
  }

  panes() {
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    const pair = this.display.map && this.display.pair && this.data.map;
    if (!pair) return [{ left: 0, width, height, overlay: true }];
    const half = (width - 8) / 2;
    return [{ left: 0, width: half, height, overlay: false }, { left: half + 8, width: half, height, overlay: true }];
  }

  scale(pane) {
    return this.view.zoom * Math.min((pane.width - 8) / this.film.canvas.width, (pane.height - 8) / this.film.canvas.height);
  }

  toFilm(x, y) {
    const pane = this.panes().find((p) => x >= p.left && x < p.left + p.width) || this.panes()[0];
    const scale = this.scale(pane);
    return { x: this.view.x + (x - pane.left - pane.width / 2) / scale, y: this.view.y + (y - pane.height / 2) / scale, scale };
  }

  zoomAt(factor, x, y) {
    const before = this.toFilm(x, y);
    this.view.zoom = clamp(this.view.zoom * factor, 0.5, 24);
    const after = this.toFilm(x, y);
    this.moveBy(before.x - after.x, before.y - after.y);
  }

  moveBy(dx, dy) {
    this.view.x = clamp(this.view.x + dx, 0, this.film.canvas.width);
    this.view.y = clamp(this.view.y + dy, 0, this.film.canvas.height);
    this.draw();
  }

  // ---- drawing

  draw() {
    if (!this.film || !this.canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    for (const pane of this.panes()) {
      const context = this.context;
      const scale = this.scale(pane);
      context.save();
      context.scale(ratio, ratio);
      context.beginPath();
      context.rect(pane.left, 0, pane.width, pane.height);
      context.clip();
      context.translate(pane.left + pane.width / 2, pane.height / 2);
      context.scale(scale, scale);
      context.translate(-this.view.x, -this.view.y);
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.film.canvas, 0, 0);
      if (pane.overlay) this.drawOverlay(scale);
      if (this.data.anatomy && this.display.anatomy) this.drawAnatomy(scale);
      if (this.display.frame) this.drawFrame(scale);
      context.restore();
    }
  }

  drawOverlay(scale) {
    const { map, region, contour } = this.data;
    const context = this.context;
    if (map && this.display.map && this.display.outline && !contour) {
      this.drawOutline(map, scale);
    } else if (map && this.display.map) {
      context.globalAlpha = this.display.opacity / 100;
      context.imageSmoothingEnabled = this.display.smooth;
      const { left, top, side } = this.mapFrame();
      context.drawImage(this.overlay, left, top, side, side);
      context.globalAlpha = 1;
    }
    if (region && this.display.region) this.drawOutline(region, scale);
    if (map && this.display.map && contour) this.drawLines(contour.supports, WHITE, scale); // no sign: neither colour
  }

  // a layer may lie elsewhere than the square the model sees
  mapFrame() {
    return this.data.map?.frame || this.data.frame;
  }

  drawOutline({ supports, opposes }, scale) {
    this.drawLines(supports, this.data.colours.supports, scale);
    this.drawLines(opposes, this.data.colours.opposes, scale, DASH);
  }

  drawAnatomy(scale) {
    for (const name of ["lungs", "heart"]) this.drawLines(this.data.anatomy[name], this.data.colours[name], scale);
  }

  drawLines(lines, colour, scale, dash = []) {
    for (const [style, width] of [["#000", OUTLINE_WIDTH + 2], [colour, OUTLINE_WIDTH]]) {
      this.context.strokeStyle = style;
      this.context.lineWidth = width / scale;
      this.context.setLineDash(style === "#000" ? [] : dash.map((d) => d / scale));
      for (const line of lines) {
        this.context.beginPath();
        line.forEach(([x, y], i) => (i ? this.context.lineTo(x, y) : this.context.moveTo(x, y)));
        this.context.stroke();
      }
    }
    this.context.setLineDash([]);
  }

  drawFrame(scale) {
    const { left, top, side } = this.data.frame;
    this.context.strokeStyle = TEAL;
    this.context.lineWidth = 1.5 / scale;
    this.context.setLineDash([6 / scale, 5 / scale]);
    this.context.strokeRect(left, top, side, side);
    this.context.setLineDash([]);
  }

  // ---- words and controls

  describe() {
    const { data, display } = this;
    const shown = Boolean(data.map && display.map);
    const text = (name, value) => (this.root.querySelector(`[data-text="${name}"]`).textContent = value);
    text("film", `Film · black ${display.black} · white ${display.white}${display.invert ? " · inverted" : ""}`);
    text("sides", "image left | image right");
    text("map", shown ? data.map.label : data.map ? "Map off" : "");
    text("low", shown ? data.map.low : "");
    text("high", shown ? data.map.high : "");
    this.root.querySelector(".scale").hidden = !shown;
    for (const end of ["left", "right"]) {
      const mark = this.root.querySelector(`.side.${end}`);
      mark.textContent = data.sides[end];
      mark.hidden = !data.sides[end];
    }
    for (const name of ["map", "pair", "outline", "smooth", "opacity"]) {
      this.find(name).disabled = !(name === "map" ? data.map : shown);
    }
    this.find("opacity").parentElement.classList.toggle("off", !shown);
    this.find("map").textContent = shown ? "Hide map" : "Show map";
    this.find("region").hidden = !data.region;
    this.find("anatomy").hidden = !data.anatomy;
    this.find("outline").hidden = Boolean(data.contour);
    const keys = [["M map", data.map], ["I invert", true], ["O outline", data.map && !data.contour], ["A anatomy", data.anatomy]];
    text("keys", keys.filter(([, there]) => there).map(([key]) => key).join(", "));
    for (const name of ["invert", "frame", "map", "pair", "outline", "smooth", "region", "anatomy"]) {
      this.find(name).setAttribute("aria-pressed", String(display[name]));
    }
    this.find("map").setAttribute("aria-pressed", String(shown)); // a map in the making is not shown yet
    for (const name of ["black", "white", "opacity"]) this.find(name).value = display[name];
    const preset = data.presets.find((p) => p.black === display.black && p.white === display.white);
    this.find("preset").value = preset ? preset.name : "own";
  }

  set(changes) {
    const before = this.display;
    this.display = { ...before, ...changes };
    const { black, white, invert } = this.display;
    if (black !== before.black || white !== before.white || invert !== before.invert) paintFilm(this.film, this.display);
    this.describe();
    this.draw();
  }

  setWindow(black, white) {
    const low = clamp(Math.round(black), 0, 254);
    this.set({ black: low, white: clamp(Math.round(white), low + 1, 255) });
  }

  bindControls() {
    this.find("black").oninput = (e) => this.setWindow(+e.target.value, Math.max(this.display.white, +e.target.value + 1));
    this.find("white").oninput = (e) => this.setWindow(Math.min(this.display.black, +e.target.value - 1), +e.target.value);
    this.find("opacity").oninput = (e) => this.set({ opacity: +e.target.value });
    this.find("preset").onchange = (e) => {
      const preset = this.data.presets.find((p) => p.name === e.target.value);
      if (preset) this.setWindow(preset.black, preset.white);
    };
    this.find("reset").onclick = () => {
      this.resetView();
      this.draw();
    };
    for (const name of ["invert", "frame", "map", "pair", "outline", "smooth", "region", "anatomy"]) {
      this.find(name).onclick = () => this.toggle(name);
    }
  }

  toggle(name) {
    const button = this.find(name);
    if (!button.disabled && !button.hidden) this.set({ [name]: !this.display[name] });
  }

  bindPointer() {
    let last = null;
    this.canvas.onpointerdown = (e) => {
      last = { x: e.offsetX, y: e.offsetY };
      this.canvas.setPointerCapture(e.pointerId);
    };
    this.canvas.onpointerup = () => (last = null);
    this.canvas.onpointercancel = () => (last = null);
    this.canvas.onpointerleave = () => (this.root.querySelector(".readout").textContent = "");
    this.canvas.onpointermove = (e) => {
      if (!this.film) return;
      this.read(e.offsetX, e.offsetY);
      if (!last) return;
      const [dx, dy] = [e.offsetX - last.x, e.offsetY - last.y];
      last = { x: e.offsetX, y: e.offsetY };
      if (e.shiftKey) {
        const { black, white } = this.display;
        this.setWindow(black - dx / 2 + dy / 2, white + dx / 2 + dy / 2);
      } else {
        const scale = this.scale(this.panes()[0]);
        this.moveBy(-dx / scale, -dy / scale);
      }
    };
    this.canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      this.zoomAt(Math.exp(-e.deltaY / 500), e.offsetX, e.offsetY);
    }, { passive: false });
    this.canvas.ondblclick = () => this.find("reset").click();
  }

  bindKeys() {
    const middle = () => {
      const pane = this.panes()[0];
      return [pane.width / 2, pane.height / 2];
    };
    const step = () => 40 / this.scale(this.panes()[0]);
    const actions = {
      "+": () => this.zoomAt(1.25, ...middle()), "=": () => this.zoomAt(1.25, ...middle()),
      "-": () => this.zoomAt(0.8, ...middle()), 0: () => this.find("reset").click(),
      ArrowLeft: () => this.moveBy(-step(), 0), ArrowRight: () => this.moveBy(step(), 0),
      ArrowUp: () => this.moveBy(0, -step()), ArrowDown: () => this.moveBy(0, step()),
      m: () => this.toggle("map"), i: () => this.toggle("invert"), o: () => this.toggle("outline"),
      a: () => this.toggle("anatomy"),
    };
    this.canvas.onkeydown = (e) => {
      const action = !e.ctrlKey && !e.metaKey && !e.altKey && actions[e.key.length === 1 ? e.key.toLowerCase() : e.key];
      if (!action || !this.film) return;
      e.preventDefault();
      e.stopPropagation();
      action();
    };
  }

  read(x, y) {
    const at = this.toFilm(x, y);
    const [column, row] = [Math.floor(at.x), Math.floor(at.y)];
    const inside = column >= 0 && row >= 0 && column < this.film.canvas.width && row < this.film.canvas.height;
    let text = inside ? `film ${this.film.grey[row * this.film.canvas.width + column]}` : "";
    const { map } = this.data;
    const frame = this.mapFrame();
    if (inside && map && this.display.map) {
      const u = Math.floor(((at.x - frame.left) / frame.side) * map.width);
      const v = Math.floor(((at.y - frame.top) / frame.side) * map.height);
      const seen = u >= 0 && v >= 0 && u < map.width && v < map.height;
      const unseen = map.frame ? "not seen by the detector" : "not seen by the model";
      text += seen ? ` · map ${map.cells[v * map.width + u].toPrecision(3)}` : ` · ${unseen}`;
    }
    this.root.querySelector(".readout").textContent = text;
  }
}
