// The viewer: a canvas with an image, boxes and masks; drag, wheel, pinch, click; files in. No library, no network but ours.
(function () {
  "use strict";
  const { unpack, loaded, lay, drawRegions, hit, cutRegions, most, words, filled } = window.medvlm;

  const bus = new EventTarget(); // between viewer and list: "layer", "select" (a list of region numbers), "save"
  const tell = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));
  const parse = (text) => { try { return JSON.parse(text); } catch { return null; } };
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

  function viewer(element) {
    const root = element.querySelector(".mv"), find = (s) => root.querySelector(s), all = (s) => [...root.querySelectorAll(s)];
    const canvas = find(".mv-stage canvas"), context = canvas.getContext("2d"), stage = find(".mv-stage"), status = find(".mv-status");
    const slider = find(".mv-slices input"), { send } = medvlm;
    let picture = null, bitmap = null, layer = null, regions = [], lit = new Set();
    let zoom = 1, ox = 0, oy = 0, fitted = true, tool = "move", points = [], draft = null;
    let wanted = null, slicing = false, quiet = 0, clicked = false, aim = ""; // `aim`: a finding's label that is drawn
    let hidden = new Set(), pointed = new Set(); // labels that are not shown, and regions that are pointed at in the list
    const show = { masks: true, boxes: true, opacity: 0.3 };
    const beside = medvlm.compare(root, { as: (...picture) => levels.as(...picture), send, say, place, pan, wheel, fit, draw, click: (p) => toggle(hit(here(true), p, scale())) });
    const brush = medvlm.brush(root, {
      pixel: () => (picture ? zoom * scale() : 1), step: (by) => { points = []; send("step", { by }); },
      stroke: (data) => prompt(data, data.tool === "scribble" ? "segment" : "paint"),
    });
    const levels = medvlm.windows(root, { draw }), reader = medvlm.reading(root, levels, { draw, step, placed, under: (p) => hit(here(beside.mostly()), p, scale()) });
    const lens = medvlm.magnifier(root, { picture: () => picture, window: levels.chosen, send, draw, paint: (on, near, finer) => paint(on, levels.shown(), here(beside.mostly()), near, finer) });
    const shelf = medvlm.thumbnails(root, { send, goTo: goToImage, series: another });
    const around = medvlm.triplanar(root, levels, { send, draw, goTo, plane: replane, regions: () => regions.filter((r) => !hidden.has(r.label)), clicked: () => clicked, flip: reader.flip });
    medvlm.keys(root, {
      open: () => Boolean(picture), shelf: shelf.turn, planes: around.turn, lens: lens.hold, choose, step, fit, pan, preset: levels.preset, invert: levels.turn, flip: reader.turn, unrule: reader.unrule, other: brush.press,
      zoom: (factor) => zoomAt(stage.clientWidth / 2, stage.clientHeight / 2, factor),
    });

    // Drawing, in image pixels as sent; screen = image * zoom + offset, in CSS pixels whatever the screen's density is.
    const scale = () => picture.shown[0] / picture.size[0];
    const fitting = () => Math.min(stage.clientWidth / bitmap.width, stage.clientHeight / bitmap.height);
    function fit() {
      if (!bitmap) return;
      const { clientWidth: w, clientHeight: h } = stage;
      zoom = fitting(); brush.cursor();
      ox = (w - bitmap.width * zoom) / 2; oy = (h - bitmap.height * zoom) / 2; fitted = true;
      draw();
    }
    function resize() {
      const density = window.devicePixelRatio || 1;
      canvas.width = Math.round(stage.clientWidth * density); canvas.height = Math.round(stage.clientHeight * density);
      if (fitted) fit(); else draw();
    }
    const view = (density) => ({ zoom, ox, oy, density, scale: scale(), show, lit, pointed, text: parseFloat(getComputedStyle(root).fontSize) / 13, hover: reader.hover(), flip: reader.flip(bitmap.width), width: stage.clientWidth, height: stage.clientHeight });
    let cuts = null; // of the regions in another plane; null where they have to be cut anew
    function mine() {
      if (!layer || !picture || layer.study !== picture.study) return [];
      if (!picture.cut) return regions.filter((r) => r.image === picture.image && !hidden.has(r.label));
      cuts = cuts || cutRegions(regions.filter((r) => !r.earlier && !hidden.has(r.label)), picture, lit);
      return cuts;
    }
    const here = (earlier) => mine().filter((r) => Boolean(r.earlier) === earlier);
    function draw() {
      const density = canvas.width / Math.max(1, stage.clientWidth), shown = here(beside.mostly());
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      root.dataset.shown = shown.length; root.dataset.lit = [...lit].join(" "); root.dataset.zoom = fitted ? 1 : zoom / fitting();
      if (!bitmap) return;
      const now = view(density);
      context.imageSmoothingQuality = "high";
      paint(context, levels.shown(), shown, now, () => beside.blend(context, bitmap));
      lay(context, now);
      brush.draw(context, scale());
      medvlm.drawPrompt(context, draft, points, now);
      beside.draw(bitmap, here(true), now);
      reader.draw(context, now);
      around.draw(context, now);
      lens.draw(context, now);
    }
    // A picture, what lies between it and its regions, and these.
    function paint(context, image, shown, now, between) {
      lay(context, now);
      context.drawImage(image, 0, 0);
      between();
      drawRegions(context, shown, now);
    }

    // What Python sends
    function receive(value) {
      if (!value.src) return close();
      const fresh = !picture || picture.study !== value.study, replaned = fresh || picture.plane !== value.plane;
      if (replaned) wanted = null;
      Promise.all([loaded(value.src), value.prior && loaded(value.prior.src), medvlm.numbersOf(value.reading.values, value.shown), value.prior && medvlm.numbersOf(value.prior.values, value.prior.shown || [])]).then(([image, earlier, numbers, before]) => {
        if (wanted !== null && wanted !== value.image) return;
        const other = replaned || picture.image !== value.image;
        picture = value; bitmap = image; cuts = null;
        levels.receive(value, image, numbers, fresh); reader.receive(value, fresh);
        if (other) { points = []; draft = null; }
        if (fresh) lit.clear();
        opened(true); root.dataset.image = value.image; root.dataset.study = value.study;
        slider.max = value.count; slider.value = value.image + 1;
        find(".mv-slices").style.display = value.count > 1 ? "" : "none";
        find(".mv-slices output").textContent = value.image + 1 + " / " + value.count;
        find(".mv-facts").textContent = value.facts;
        if (fresh) offer(".mv-series", value.series.length > 1, value.series.map((one) => ({ value: one.number, textContent: one.number + ": " + one.words, selected: one.taken })));
        if (replaned) offer(".mv-plane", value.planes.length, value.planes.map((name) => ({ value: name, textContent: name, selected: name === value.plane })));
        beside.receive(value.prior, earlier, before);
        shelf.receive(value, fresh); around.receive(value, fresh, replaned);
        if (replaned || fitted) fit(); else draw();
        if (replaned && lit.size) goTo(most(regions.filter((r) => lit.has(r.id)), picture.cut));
      });
      slicing = false;
      if (wanted !== null && wanted !== value.image) askSlice();
    }
    function opened(on) { // what works on a picture is out of the reach of Tab without one
      root.classList.toggle("mv-open", on);
      for (const part of all("[data-needs]")) part.inert = !on;
    }
    function close() { // no study is open any more
      picture = bitmap = wanted = null; slicing = false; points = []; draft = null;
      opened(false); root.dataset.study = root.dataset.image = "";
      beside.receive(null, null); shelf.close(); around.close();
      say(""); draw();
    }
    function offer(name, shown, choices) {
      find(name).style.display = shown ? "inline-flex" : "none";
      find(name + " select").replaceChildren(...choices.map((one) => Object.assign(document.createElement("option"), one)));
    }
    bus.addEventListener("layer", (event) => {
      const same = layer && layer.key && layer.key === event.detail.key;
      cuts = null; draft = null;
      const kept = { points, lit: same && layer.regions.length === event.detail.regions.length ? [...lit] : [] };
      layer = event.detail;
      regions = layer.regions.map((r, id) => ({ ...r, id, mask: r.mask && unpack(r.mask) }));
      brush.offer(layer);
      clicked = true; tell("select", layer.selected || kept.lit); clicked = false;
      tell("aim", layer.aim || (same ? aim : ""));
      points = regions.length ? kept.points : [];
      if (!same && regions.length && picture && layer.study === picture.study && !mine().length) goTo(most(regions.filter((r) => r.label === regions[0].label), picture.cut));
      draw();
    });
    bus.addEventListener("hide", (event) => { hidden = new Set(event.detail); cuts = null; draw(); });
    bus.addEventListener("hover", (event) => { pointed = new Set(event.detail); draw(); });
    bus.addEventListener("aim", (event) => { aim = event.detail; aimed(); });
    bus.addEventListener("select", (event) => {
      points = [];
      lit = new Set(event.detail);
      if (lit.size) tell("aim", "");
      aimed();
      cuts = null;
      const there = regions.filter((r) => lit.has(r.id)), seen = mine().some((r) => lit.has(r.id));
      if (there.length && picture && !clicked && (picture.volume || !seen)) goTo(most(there, picture.cut));
      draw();
    });
    bus.addEventListener("say", (event) => say(event.detail, true));
    bus.addEventListener("save", (event) => save(event.detail));
    bus.addEventListener("message", (event) => { draft = null; brush.settled(); say(event.detail.note, event.detail.stay); draw(); });
    function say(text, stay) {
      clearTimeout(quiet);
      status.textContent = text || "";
      if (text && !stay) quiet = setTimeout(() => { status.textContent = ""; }, 8000);
    }

    // What the user does
    function goTo(index) {
      if (!picture || index === null) return;
      wanted = clamp(index, 0, picture.count - 1);
      slider.value = wanted + 1;
      if (!slicing) askSlice();
    }
    function goToImage(index) { // also where another plane is in view
      if (!picture) return;
      if (!picture.cut) return goTo(index);
      wanted = null; slicing = false;
      send("slice", { image: index, plane: "" });
    }
    bus.addEventListener("jump", (event) => goToImage(event.detail));
    function step(by) { if (picture && picture.count > 1) goTo((wanted ?? picture.image) + by); }
    function askSlice() { slicing = true; send("slice", { image: wanted, plane: picture.plane }); }
    const uncut = (otherwise) => !picture.cut || say(otherwise);
    function save(what) { say(words.viewer.saving, true); send("download", { what, opacity: show.opacity, ...levels.chosen() }); }
    function prompt(data, event = "segment") {
      if (!uncut(words.viewer.no_drawing)) { points = []; draft = null; brush.settled(); return draw(); }
      if (event === "segment") say(words.viewer.segmenting, true);
      send(event, { image: picture.image, layer: layer && layer.key, ...target(), ...data });
    }
    const target = () => (layer && layer.findings && picture ? medvlm.target(regions.filter((r) => lit.has(r.id) && !r.earlier), picture.image, aim) : {});
    function aimed() {
      const { label } = target();
      if (label && tool !== "move") say(filled(words.viewer.drawing_on, { label }), true);
    }
    function choose(name) {
      tool = name;
      all("button[data-tool]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.tool === name));
      stage.dataset.tool = name;
      brush.choose(name);
      if (name !== "plus" && name !== "minus") { points = []; draw(); }
      aimed();
    }
    function place(event) { return placed(event, event.currentTarget); }
    const source = (p) => [p.ix / scale(), p.iy / scale()];
    function placed(event, target) {
      const frame = target.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
      const flip = bitmap ? reader.flip(bitmap.width) : 0, ix = flip ? flip - (x - ox) / zoom : (x - ox) / zoom, iy = (y - oy) / zoom;
      return { x, y, ix, iy, ...(picture && { sx: ix / scale(), sy: iy / scale() }) };
    }
    function wheel(event) {
      if (!bitmap) return;
      event.preventDefault();
      const p = place(event);
      zoomAt(p.x, p.y, Math.exp(-clamp(event.deltaY * (event.deltaMode ? 16 : 1), -300, 300) / 400));
    }
    const bounded = (p) => [clamp(p.ix, 0, bitmap.width), clamp(p.iy, 0, bitmap.height)];
    function zoomAt(x, y, factor) {
      const next = clamp(zoom * factor, 0.05, 60);
      ox = x - ((x - ox) * next) / zoom; oy = y - ((y - oy) * next) / zoom; zoom = next; fitted = false; brush.cursor();
      draw();
    }
    function toggle(region) {
      const ids = region ? region.ids || [region.id] : [];
      clicked = true; // what is clicked in the image is in sight
      tell("select", ids.length === lit.size && ids.every((id) => lit.has(id)) ? [] : ids);
      clicked = false;
    }
    function pan(dx, dy) { ox += dx; oy += dy; fitted = false; draw(); }
    function click(p, shift) {
      const s = scale();
      if (tool === "move") {
        toggle(hit(here(beside.mostly()), p, s));
        around.click(p.ix, p.iy);
      } else if ((tool === "plus" || tool === "minus") && p.ix >= 0 && p.iy >= 0 && p.ix < bitmap.width && p.iy < bitmap.height) {
        const positive = tool === "plus" && !shift ? 1 : 0, under = hit(here(false), p, s);
        if (layer && layer.findings && !target().label && !aim && under) toggle(under); // a click on what is there corrects that
        points.push([Math.min(p.ix / s, picture.size[0] - 0.01), Math.min(p.iy / s, picture.size[1] - 0.01), positive]);
        draw();
        const drawn = (target().label || (layer && layer.carry !== undefined)) && hit(here(false), p, s);
        if (drawn || points.some((q) => q[2])) prompt({ points, tool: "points" });
        else say(words.viewer.add_inside);
      }
    }

    const pointers = new Map();
    let start = null, last = null, span = 0;
    canvas.addEventListener("pointerdown", (event) => {
      if (!bitmap || event.button > 1) return;
      if (event.isTrusted) canvas.setPointerCapture(event.pointerId); // not where keys move it
      pointers.set(event.pointerId, place(event));
      start = last = place(event); span = 0;
      if (pointers.size > 1) { start = draft = null; brush.cancel(); return; }
      start.free = brush.takes() && event.button === 0;
      start.pan = !start.free && (!["box", "lens"].includes(tool) || event.button === 1);
      if (start.free) { brush.begin(source(start), event.shiftKey); draw(); }
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!pointers.has(event.pointerId)) return;
      const p = place(event);
      pointers.set(event.pointerId, p);
      if (pointers.size === 2) {
        const [a, b] = [...pointers.values()], now = Math.hypot(a.x - b.x, a.y - b.y);
        if (span) zoomAt((a.x + b.x) / 2, (a.y + b.y) / 2, now / span);
        span = now;
      } else if (start && start.free) {
        for (const one of event.getCoalescedEvents ? event.getCoalescedEvents() : [event]) brush.extend(source(placed(one, canvas)));
        brush.extend(source(p));
        draw();
      } else if (start && (start.moved || Math.hypot(p.x - start.x, p.y - start.y) > 4)) {
        start.moved = true;
        if (start.pan) { ox += p.x - last.x; oy += p.y - last.y; fitted = false; }
        else if (tool === "box") {
          const [x0, y0] = bounded(start), [x1, y1] = bounded(p);
          draft = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
        }
        draw();
      }
      last = p;
    });
    const end = (event) => {
      if (!pointers.delete(event.pointerId) || !start) return;
      if (start.free) { if (event.type === "pointerup") brush.finish(); else brush.cancel(); draw(); }
      else if (event.type === "pointerup" && !start.moved) click(place(event), event.shiftKey);
      else if (draft && event.type === "pointerup") {
        const box = draft.map((v, i) => Math.min(v / scale(), picture.size[i % 2]));
        if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) prompt({ box, tool: "box" }); else draft = null;
      }
      start = null;
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("dblclick", () => tool === "move" && fit());
    canvas.addEventListener("wheel", wheel, { passive: false });

    slider.addEventListener("input", () => goTo(slider.value - 1));
    find(".mv-series select").addEventListener("change", (event) => {
      if (!another(Number(event.target.value))) event.target.value = picture.series.find((one) => one.taken).number;
    });
    function another(number) { // series of the upload; whether it will be opened
      if (!medvlm.leaving()) return false;
      say(words.viewer.opening, true); send("open_series", { number });
      return true;
    }
    function replane(plane) { wanted = null; send("slice", { image: null, plane }); }
    find(".mv-plane select").addEventListener("change", (event) => replane(event.target.value));
    all("button[data-tool]").forEach((b) => b.addEventListener("click", () => choose(b.dataset.tool)));
    all("[data-show]").forEach((input) => input.addEventListener("input", () => {
      show[input.dataset.show] = input.type === "checkbox" ? input.checked : input.value / 100;
      draw();
    }));
    all("[data-example]").forEach((b) => b.addEventListener("click", () => { say(words.viewer.opening, true); send("open_example", { name: b.dataset.example }); }));
    const actions = { files: () => find(".mv-files").click(), folder: () => find(".mv-folder").click(), fit, png: () => uncut(words.viewer.no_overlay) && save("png") };
    actions.clear = () => { points = []; draft = null; send("clear_layer", {}); draw(); };
    all("[data-do]").forEach((b) => b.addEventListener("click", () => actions[b.dataset.do]()));
    medvlm.intake([stage, document.body], find(".mv-files"), find(".mv-folder"), say, (upload) => send("open_upload", { upload }));

    medvlm.on("refused", () => { slicing = false; draft = null; brush.settled(); say(""); draw(); });
    new ResizeObserver(resize).observe(stage);
    choose("move");
    opened(false);
    medvlm.on("picture", receive);
  }

  Object.assign(window.medvlm, { bus, tell, parse, viewer });
})();
