// Draws films with maps over them side by side; zoom, place and window are one for all of them.

const grids = new WeakMap();

export default function ({ parentElement, data }) {
  let grid = grids.get(parentElement);
  if (!grid) {
    grid = new Grid(parentElement);
    grids.set(parentElement, grid);
  }
  grid.update(data);
  return () => {
    grid.close();
    grids.delete(parentElement);
  };
}

const TEMPLATE = `<canvas class="film" role="img"></canvas><figcaption><b></b><span class="note"></span><span class="caution"></span>
  <span class="scale"><span class="low"></span><canvas class="ramp" width="72" height="8" aria-hidden="true"></canvas><span class="high"></span></span></figcaption>`;

class Grid {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector(".cells");
    this.films = new Map();
    this.cells = [];
    this.cross = null;
    this.display = { opacity: 60, black: 0, white: 255, invert: false, smooth: false };
    this.resetView();
    this.bind();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.stage);
  }

  close() {
    this.observer.disconnect();
  }

  find(name) {
    return this.root.querySelector(`[name="${name}"]`);
  }

  // ---- data from the page

  async update(data) {
    this.data = data;
    const films = new Map();
    for (const film of data.films) films.set(film.id, this.films.get(film.id) || (await openFilm(film.png)));
    if (data !== this.data) return; // later data overtook these while a film was decoded
    this.films = films;
    this.palettes = { signed: decode(data.palettes.signed), unsigned: decode(data.palettes.unsigned) };
    for (const film of films.values()) paintFilm(film, this.display);
    this.stage.style.setProperty("--columns", data.columns);
    this.build(data.cells);
    this.draw();
  }

  build(cells) {
    while (this.stage.children.length > cells.length) this.stage.lastChild.remove();
    while (this.stage.children.length < cells.length) {
      const figure = document.createElement("figure");
      figure.innerHTML = TEMPLATE;
      this.bindPointer(figure.querySelector("canvas.film"));
      this.stage.append(figure);
    }
    this.cells = cells.map((cell, i) => this.fill(this.stage.children[i], cell));
  }

  fill(figure, cell) {
    const film = this.data.films[cell.film];
    const canvas = figure.querySelector("canvas.film");
    const overlay = cell.map && document.createElement("canvas");
    const opened = this.films.get(film.id).canvas;
    canvas.setAttribute("aria-label", cell.alt);
    canvas.style.aspectRatio = `1 / ${clamp(opened.height / opened.width, 0.75, 1.25)}`;
    figure.classList.toggle("marked", cell.marked);
    figure.querySelector("b").textContent = cell.title;
    figure.querySelector(".note").textContent = cell.note;
    figure.querySelector(".caution").textContent = cell.caution;
    figure.querySelector(".scale").hidden = !cell.map;
    if (cell.map) {
      const palette = this.palettes[cell.map.signed ? "signed" : "unsigned"];
      paintCells(overlay, cell.map.width, cell.map.height, decode(cell.map.shades), palette);
      paintRamp(figure.querySelector(".ramp"), palette);
      figure.querySelector(".low").textContent = cell.map.low;
      figure.querySelector(".high").textContent = cell.map.high;
    }
    return { canvas, overlay, film: opened, frame: film.frame };
  }

  // ---- geometry: `view` is the place at the middle of each cell, as shares of its film, and the magnification

  resetView() {
    this.view = { x: 0.5, y: 0.5, zoom: 1 };
  }

  scale({ canvas, film }) {
    return this.view.zoom * Math.min(canvas.clientWidth / film.width, canvas.clientHeight / film.height);
  }

  place(cell, x, y) {
    const scale = this.scale(cell);
    return {
      x: this.view.x + (x - cell.canvas.clientWidth / 2) / scale / cell.film.width,
      y: this.view.y + (y - cell.canvas.clientHeight / 2) / scale / cell.film.height,
    };
  }

  zoomAt(factor, cell, x, y) {
    const before = this.place(cell, x, y);
    this.view.zoom = clamp(this.view.zoom * factor, 0.5, 24);
    const after = this.place(cell, x, y);
    this.moveBy(before.x - after.x, before.y - after.y);
  }

  moveBy(dx, dy) {
    this.view.x = clamp(this.view.x + dx, 0, 1);
    this.view.y = clamp(this.view.y + dy, 0, 1);
    this.draw();
  }

  // ---- drawing

  draw() {
    const ratio = window.devicePixelRatio || 1;
    for (const cell of this.cells) {
      const { canvas, overlay, film, frame } = cell;
      if (!canvas.clientWidth) continue;
      canvas.width = Math.round(canvas.clientWidth * ratio);
      canvas.height = Math.round(canvas.clientHeight * ratio);
      const context = canvas.getContext("2d");
      const scale = this.scale(cell) * ratio;
      context.translate(canvas.width / 2, canvas.height / 2);
      context.scale(scale, scale);
      context.translate(-this.view.x * film.width, -this.view.y * film.height);
      context.imageSmoothingQuality = "high";
      context.drawImage(film, 0, 0);
      if (overlay) {
        context.globalAlpha = this.display.opacity / 100;
        context.imageSmoothingEnabled = this.display.smooth;
        context.drawImage(overlay, frame.left, frame.top, frame.side, frame.side);
        context.globalAlpha = 1;
      }
      if (this.cross) this.drawCross(context, this.cross.x * film.width, this.cross.y * film.height, 1 / this.scale(cell));
    }
  }

  drawCross(context, x, y, pixel) {
    for (const [style, width] of [["#000", 3.5], ["#e6f4f5", 1.5]]) {
      context.strokeStyle = style;
      context.lineWidth = width * pixel;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * dx * pixel, y + 4 * dy * pixel);
        context.lineTo(x + 11 * dx * pixel, y + 11 * dy * pixel);
      }
      context.stroke();
    }
  }

  // ---- controls

  set(changes) {
    this.display = { ...this.display, ...changes };
    for (const name of ["opacity", "black", "white"]) this.find(name).value = this.display[name];
    for (const name of ["invert", "smooth"]) this.find(name).setAttribute("aria-pressed", String(this.display[name]));
    if ("black" in changes || "invert" in changes) {
      for (const film of this.films.values()) paintFilm(film, this.display);
    }
    this.draw();
  }

  bind() {
    this.find("opacity").oninput = (e) => this.set({ opacity: +e.target.value });
    this.find("black").oninput = (e) => this.set({ black: +e.target.value, white: Math.max(this.display.white, +e.target.value + 1) });
    this.find("white").oninput = (e) => this.set({ black: Math.min(this.display.black, +e.target.value - 1), white: +e.target.value });
    for (const name of ["invert", "smooth"]) this.find(name).onclick = () => this.set({ [name]: !this.display[name] });
    this.find("reset").onclick = () => {
      this.resetView();
      this.draw();
    };
    this.bindKeys();
  }

  bindPointer(canvas) {
    let last = null;
    const cellOf = () => this.cells.find((cell) => cell.canvas === canvas);
    canvas.onpointerdown = (e) => {
      last = { x: e.offsetX, y: e.offsetY };
      this.stage.focus({ preventScroll: true });
      canvas.setPointerCapture(e.pointerId);
    };
    canvas.onpointerup = canvas.onpointercancel = () => (last = null);
    canvas.onpointerleave = () => {
      this.cross = null;
      this.draw();
    };
    canvas.onpointermove = (e) => {
      const cell = cellOf();
      this.cross = this.place(cell, e.offsetX, e.offsetY);
      if (!last) return this.draw();
      const scale = this.scale(cell);
      const [dx, dy] = [e.offsetX - last.x, e.offsetY - last.y];
      last = { x: e.offsetX, y: e.offsetY };
      this.moveBy(-dx / scale / cell.film.width, -dy / scale / cell.film.height);
    };
    canvas.addEventListener("wheel", (e) => {
      const focused = this.stage.getRootNode().activeElement === this.stage;
      if (!focused && !e.ctrlKey) return; // the page scrolls past a grid that nobody clicked
      e.preventDefault();
      this.zoomAt(Math.exp(-e.deltaY / 500), cellOf(), e.offsetX, e.offsetY);
    }, { passive: false });
    canvas.ondblclick = () => this.find("reset").click();
  }

  bindKeys() {
    const zoom = (factor) => {
      const { canvas } = this.cells[0];
      this.zoomAt(factor, this.cells[0], canvas.clientWidth / 2, canvas.clientHeight / 2);
    };
    const step = () => 0.06 / this.view.zoom;
    const actions = {
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => this.find("reset").click(),
      ArrowLeft: () => this.moveBy(-step(), 0), ArrowRight: () => this.moveBy(step(), 0),
      ArrowUp: () => this.moveBy(0, -step()), ArrowDown: () => this.moveBy(0, step()),
    };
    this.stage.onkeydown = (e) => {
      const action = !e.ctrlKey && !e.metaKey && !e.altKey && actions[e.key];
      if (!action || !this.cells.length) return;
      e.preventDefault();
      e.stopPropagation();
      action();
    };
  }
}
