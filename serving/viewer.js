// The viewer: a canvas with an image, boxes and masks; drag, wheel, pinch, click; files in. No library, no network but ours.
(function () {
  "use strict";

  const bus = new EventTarget(); // between viewer and list: "layer", "select" (a list of region numbers), "save"
  const tell = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));
  const parse = (text) => { try { return JSON.parse(text); } catch { return null; } };
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

  // Run lengths → what drawing and clicking need: bytes inside the mask's box, and its outline as a path in image pixels.
  function unpack(mask) {
    const [x0, y0, x1, y1] = mask.box, w = x1 - x0, h = y1 - y0;
    const inside = new Uint8Array(w * h);
    let at = 0;
    mask.runs.forEach((n, i) => { if (i % 2) inside.fill(1, at, at + n); at += n; });
    const get = (x, y) => x >= 0 && y >= 0 && x < w && y < h && inside[y * w + x];
    const outline = new Path2D();
    for (let y = 0; y <= h; y++) {
      for (let x = 0, from = -1; x <= w; x++) {
        const edge = x < w && get(x, y) !== get(x, y - 1) && (get(x, y) || get(x, y - 1));
        if (edge && from < 0) from = x;
        if (!edge && from >= 0) { outline.moveTo(x0 + from, y0 + y); outline.lineTo(x0 + x, y0 + y); from = -1; }
      }
    }
    for (let x = 0; x <= w; x++) {
      for (let y = 0, from = -1; y <= h; y++) {
        const edge = y < h && get(x, y) !== get(x - 1, y) && (get(x, y) || get(x - 1, y));
        if (edge && from < 0) from = y;
        if (!edge && from >= 0) { outline.moveTo(x0 + x, y0 + from); outline.lineTo(x0 + x, y0 + y); from = -1; }
      }
    }
    return { x0, y0, w, h, outline, inside, area: inside.reduce((a, b) => a + b, 0), has: (x, y) => get(Math.floor(x) - x0, Math.floor(y) - y0) };
  }

  function paint(mask, colour) {
    const canvas = Object.assign(document.createElement("canvas"), { width: mask.w, height: mask.h });
    const context = canvas.getContext("2d"), data = context.createImageData(mask.w, mask.h);
    for (let i = 0; i < mask.inside.length; i++) if (mask.inside[i]) data.data.set([...colour, 255], 4 * i);
    context.putImageData(data, 0, 0);
    return canvas;
  }

  function viewer(element, trigger, props, watch, events) {
    const root = element.querySelector(".mv"), find = (s) => root.querySelector(s), all = (s) => [...root.querySelectorAll(s)];
    const canvas = find("canvas"), context = canvas.getContext("2d"), stage = find(".mv-stage"), status = find(".mv-status");
    const slider = find(".mv-slices input"), send = (name, data) => { if (events.includes(name)) trigger(name, data); };
    let picture = null, bitmap = null, layer = null, regions = [], lit = new Set();
    let zoom = 1, ox = 0, oy = 0, fitted = true, tool = "move", points = [], draft = null;
    let wanted = null, slicing = false, quiet = 0;
    const show = { masks: true, boxes: true, opacity: 0.3 };

    // Drawing, in image pixels as sent; screen = image * zoom + offset, in CSS pixels whatever the screen's density is.
    const scale = () => picture.shown[0] / picture.size[0];
    const fitting = () => Math.min(stage.clientWidth / bitmap.width, stage.clientHeight / bitmap.height);
    function fit() {
      if (!bitmap) return;
      const { clientWidth: w, clientHeight: h } = stage;
      zoom = fitting();
      ox = (w - bitmap.width * zoom) / 2; oy = (h - bitmap.height * zoom) / 2; fitted = true;
      draw();
    }
    function resize() {
      const density = window.devicePixelRatio || 1;
      canvas.width = Math.round(stage.clientWidth * density); canvas.height = Math.round(stage.clientHeight * density);
      if (fitted) fit(); else draw();
    }
    const here = () => (layer && picture && layer.study === picture.study ? regions.filter((r) => r.image === picture.image) : []);
    function draw() {
      const density = canvas.width / Math.max(1, stage.clientWidth), shown = here();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      root.dataset.shown = shown.length; root.dataset.lit = [...lit].join(" "); root.dataset.zoom = fitted ? 1 : zoom / fitting();
      if (!bitmap) return;
      context.setTransform(density * zoom, 0, 0, density * zoom, density * ox, density * oy);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0);
      const dimmed = shown.some((r) => lit.has(r.id));
      for (const r of shown.filter((r) => !lit.has(r.id)).concat(shown.filter((r) => lit.has(r.id)))) drawRegion(r, dimmed && !lit.has(r.id));
      context.setTransform(density, 0, 0, density, density * ox, density * oy);
      const tags = shown.filter((r) => (dimmed ? lit.has(r.id) : true));
      if (tags.length <= 12) tags.forEach(drawTag);
      drawPrompt();
    }
    function drawRegion(r, dimmed) {
      const colour = "rgb(" + r.colour.join() + ")", bright = lit.has(r.id);
      if (r.mask && show.masks) {
        r.filled = r.filled || paint(r.mask, r.colour);
        context.globalAlpha = bright ? Math.min(1, show.opacity * 1.6) : dimmed ? show.opacity * 0.3 : show.opacity;
        context.drawImage(r.filled, r.mask.x0, r.mask.y0);
        context.globalAlpha = dimmed ? 0.35 : 1;
        context.strokeStyle = colour; context.lineWidth = (bright ? 2.5 : 1.25) / zoom; context.lineCap = "square";
        context.stroke(r.mask.outline);
      }
      if (show.boxes || !r.mask) {
        const [x0, y0, x1, y1] = r.box.map((v) => v * scale());
        context.globalAlpha = dimmed ? 0.3 : bright ? 1 : 0.75;
        context.strokeStyle = colour; context.lineWidth = (bright ? 2 : 1) / zoom;
        context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      }
      context.globalAlpha = 1;
    }
    function drawTag(r) {
      if (!show.boxes && !show.masks) return;
      context.font = "12px system-ui, sans-serif";
      const text = r.label + "  " + r.score.toFixed(2), w = context.measureText(text).width + 10;
      const x = clamp(r.box[0] * scale() * zoom, -ox, stage.clientWidth - ox - w);
      const y = clamp(r.box[1] * scale() * zoom - 19, -oy, stage.clientHeight - oy - 18);
      context.fillStyle = "rgba(10,11,13,.78)"; context.fillRect(x, y, w, 17);
      context.fillStyle = "rgb(" + r.colour.join() + ")"; context.fillText(text, x + 5, y + 12.5);
    }
    function drawPrompt() {
      context.lineWidth = 1.5;
      if (draft) {
        const [x0, y0, x1, y1] = draft.map((v) => v * zoom);
        context.setLineDash([5, 4]); context.strokeStyle = "#fff"; context.strokeRect(x0, y0, x1 - x0, y1 - y0); context.setLineDash([]);
      }
      for (const [px, py, positive] of points) {
        const x = px * scale() * zoom, y = py * scale() * zoom;
        context.beginPath(); context.arc(x, y, 6, 0, 7); context.fillStyle = positive ? "#2fbf71" : "#e5484d"; context.fill();
        context.strokeStyle = "#fff"; context.stroke();
        context.beginPath(); context.moveTo(x - 3, y); context.lineTo(x + 3, y);
        if (positive) { context.moveTo(x, y - 3); context.lineTo(x, y + 3); }
        context.stroke();
      }
    }

    // What Python sends
    function receive() {
      const value = parse(props.value);
      if (!value || !value.src) return;
      const fresh = !picture || picture.study !== value.study, image = new Image();
      image.onload = () => {
        if (wanted !== null && wanted !== value.image && !fresh) return;
        const other = fresh || picture.image !== value.image;
        picture = value; bitmap = image;
        if (other) { points = []; draft = null; }
        if (fresh) { wanted = null; lit.clear(); }
        root.classList.add("mv-open"); root.dataset.image = value.image; root.dataset.study = value.study;
        slider.max = value.count; slider.value = value.image + 1;
        find(".mv-slices").style.display = value.count > 1 ? "" : "none";
        find(".mv-slices output").textContent = value.image + 1 + " / " + value.count;
        find(".mv-facts").textContent = value.facts;
        if (fresh) offer(value.series);
        if (fresh || fitted) fit(); else draw();
      };
      image.src = value.src;
      slicing = false;
      if (!fresh && wanted !== null && wanted !== value.image) askSlice();
    }
    function offer(series) {
      const list = find(".mv-series select");
      find(".mv-series").style.display = series.length > 1 ? "inline-flex" : "none";
      list.replaceChildren(...series.map((one) => Object.assign(document.createElement("option"), {
        value: one.number, textContent: one.number + ": " + one.words, selected: one.taken,
      })));
    }
    bus.addEventListener("layer", (event) => {
      layer = event.detail; lit.clear(); draft = null;
      regions = layer.regions.map((r, id) => ({ ...r, id, mask: r.mask && unpack(r.mask) }));
      if (!regions.length) points = [];
      if (regions.length && picture && layer.study === picture.study && !here().length) goTo(regions[0].image);
      draw();
    });
    bus.addEventListener("select", (event) => {
      lit = new Set(event.detail);
      const there = regions.filter((r) => lit.has(r.id));
      if (there.length && picture && !there.some((r) => r.image === picture.image)) goTo(there[0].image);
      draw();
    });
    bus.addEventListener("save", (event) => save(event.detail));
    bus.addEventListener("message", (event) => { draft = null; say(event.detail.note); draw(); });
    function say(text, stay) {
      clearTimeout(quiet);
      status.textContent = text || "";
      if (text && !stay) quiet = setTimeout(() => { status.textContent = ""; }, 8000);
    }

    // What the user does
    function goTo(index) {
      if (!picture) return;
      wanted = clamp(index, 0, picture.count - 1);
      slider.value = wanted + 1;
      if (!slicing) askSlice();
    }
    function askSlice() { slicing = true; send("slice", { image: wanted }); }
    function save(what) { say("Saving…", true); send("download", { what, opacity: show.opacity }); }
    function prompt(data) { say("Segmenting…", true); send("segment", { image: picture.image, ...data }); }
    function choose(name) {
      tool = name;
      all("[data-tool]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.tool === name));
      stage.dataset.tool = name;
      if (name === "move" || name === "box") { points = []; draw(); }
    }
    const place = (event) => {
      const frame = canvas.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
      return { x, y, ix: (x - ox) / zoom, iy: (y - oy) / zoom };
    };
    const bounded = (p) => [clamp(p.ix, 0, bitmap.width), clamp(p.iy, 0, bitmap.height)];
    function zoomAt(x, y, factor) {
      const next = clamp(zoom * factor, 0.05, 60);
      ox = x - ((x - ox) * next) / zoom; oy = y - ((y - oy) * next) / zoom; zoom = next; fitted = false;
      draw();
    }
    function click(p, shift) {
      const s = scale();
      if (tool === "move") {
        const hit = here().filter((r) => (r.mask ? r.mask.has(p.ix, p.iy) : p.ix >= r.box[0] * s && p.iy >= r.box[1] * s && p.ix < r.box[2] * s && p.iy < r.box[3] * s));
        const smallest = hit.sort((a, b) => (a.mask ? a.mask.area : 1e9) - (b.mask ? b.mask.area : 1e9))[0];
        tell("select", smallest && !(lit.size === 1 && lit.has(smallest.id)) ? [smallest.id] : []);
      } else if (tool !== "box" && p.ix >= 0 && p.iy >= 0 && p.ix < bitmap.width && p.iy < bitmap.height) {
        const positive = tool === "plus" && !shift ? 1 : 0;
        points.push([Math.min(p.ix / s, picture.size[0] - 0.01), Math.min(p.iy / s, picture.size[1] - 0.01), positive]);
        draw();
        if (points.some((q) => q[2])) prompt({ points });
        else say("Now add a point inside what you want.");
      }
    }

    const pointers = new Map();
    let start = null, last = null, span = 0;
    canvas.addEventListener("pointerdown", (event) => {
      if (!bitmap || event.button > 1) return;
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event));
      start = last = place(event); span = 0;
      if (pointers.size > 1) { start = draft = null; return; }
      start.pan = tool !== "box" || event.button === 1;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!pointers.has(event.pointerId)) return;
      const p = place(event);
      pointers.set(event.pointerId, p);
      if (pointers.size === 2) {
        const [a, b] = [...pointers.values()], now = Math.hypot(a.x - b.x, a.y - b.y);
        if (span) zoomAt((a.x + b.x) / 2, (a.y + b.y) / 2, now / span);
        span = now;
      } else if (start && (start.moved || Math.hypot(p.x - start.x, p.y - start.y) > 4)) {
        start.moved = true;
        if (start.pan) { ox += p.x - last.x; oy += p.y - last.y; fitted = false; }
        else {
          const [x0, y0] = bounded(start), [x1, y1] = bounded(p);
          draft = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
        }
        draw();
      }
      last = p;
    });
    const end = (event) => {
      if (!pointers.delete(event.pointerId) || !start) return;
      if (event.type === "pointerup" && !start.moved) click(place(event), event.shiftKey);
      else if (draft && event.type === "pointerup") {
        const box = draft.map((v, i) => Math.min(v / scale(), picture.size[i % 2]));
        if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) prompt({ box }); else draft = null;
      }
      start = null;
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("dblclick", () => tool === "move" && fit());
    canvas.addEventListener("wheel", (event) => {
      if (!bitmap) return;
      event.preventDefault();
      const p = place(event);
      zoomAt(p.x, p.y, Math.exp(-clamp(event.deltaY * (event.deltaMode ? 16 : 1), -300, 300) / 400));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const keys = { Escape: "move", b: "box", p: "plus", n: "minus" }, steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -5, PageDown: 5 };
      if (!picture || event.ctrlKey || event.metaKey || event.altKey) return;
      if (keys[event.key]) choose(keys[event.key]);
      if (steps[event.key] && picture.count > 1) { event.preventDefault(); goTo((wanted ?? picture.image) + steps[event.key]); }
    });

    slider.addEventListener("input", () => goTo(slider.value - 1));
    find(".mv-series select").addEventListener("change", (event) => { say("Opening…", true); send("series", { number: Number(event.target.value) }); });
    all("[data-tool]").forEach((b) => b.addEventListener("click", () => choose(b.dataset.tool)));
    all("[data-show]").forEach((input) => input.addEventListener("input", () => {
      show[input.dataset.show] = input.type === "checkbox" ? input.checked : input.value / 100;
      draw();
    }));
    all("[data-example]").forEach((b) => b.addEventListener("click", () => { say("Opening…", true); send("example", { name: b.dataset.example }); }));
    const actions = { files: () => find(".mv-files").click(), folder: () => find(".mv-folder").click(), fit, png: () => save("png") };
    actions.clear = () => { points = []; draft = null; send("clear_layer", {}); draw(); };
    all("[data-do]").forEach((b) => b.addEventListener("click", () => actions[b.dataset.do]()));
    medvlm.intake(root, stage, say, (upload) => send("upload", { upload }));

    watch("value", receive);
    new ResizeObserver(resize).observe(stage);
    choose("move");
    receive();
  }

  window.medvlm = { bus, tell, parse, viewer };
})();
