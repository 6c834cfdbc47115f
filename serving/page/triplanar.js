// The planes of a volume side by side: the other two beside the one in view, with a cross in all at the same place of the patient.
(function () {
  "use strict";
  const { bus, loaded, lay, drawRegions, cutRegions, words, filled } = window.medvlm;
  const make = (tag, name) => Object.assign(document.createElement(tag), { className: name || "" });
  const EDGES = ["left", "right", "top", "bottom"];
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

  // Where a pixel of a plane's picture lies in the stack [slice, row, column], and the other way round. Both are continuous: a
  // voxel's middle is at one half. `cut` is as `planes.js` has it.
  function inStack({ cut, image }, x, y) {
    const out = [0, 0, 0], place = [(y * cut.size[0]) / cut.shown[0], (x * cut.size[1]) / cut.shown[1]];
    const [down, along] = place.map((v, i) => (cut.turned[i] ? cut.size[i] - v : v));
    out[cut.across] = image + 0.5; out[cut.down] = down; out[cut.along] = along;
    return out;
  }
  function inPicture({ cut }, point) {
    const [y, x] = [cut.down, cut.along].map((axis, i) => ((cut.turned[i] ? cut.size[i] - point[axis] : point[axis]) * cut.shown[i]) / cut.size[i]);
    return [x, y];
  }
  const slices = ({ size: [w, h] }) => ({ across: 0, down: 1, along: 2, turned: [false, false], size: [h, w], shown: [h, w] });

  function cross(context, view, [x, y], colour) {
    const at = [(view.flip ? view.flip - x : x) * view.zoom + view.ox, y * view.zoom + view.oy], gap = 14;
    context.setTransform(view.density, 0, 0, view.density, 0, 0);
    context.strokeStyle = colour; context.lineWidth = 1;
    context.beginPath();
    for (const [i, end] of [[0, view.width], [1, view.height]]) {
      const line = (from, to) => { const a = i ? [at[0], from] : [from, at[1]], b = i ? [at[0], to] : [to, at[1]]; context.moveTo(...a); context.lineTo(...b); };
      line(0, at[i] - gap); line(at[i] + gap, end);
    }
    context.stroke();
  }

  // `does` is what the viewer lends: how to send, draw all anew, go to a picture of the plane in view, show a plane, and its regions.
  function triplanar(root, levels, does) {
    const box = root.querySelector(".mv-sides"), toggle = root.querySelector("[data-read=planes]");
    let on = false, picture = null, point = null, panes = [], asking = false, late = false;
    const main = () => ({ cut: picture.cut || slices(picture), image: picture.image });
    const possible = () => Boolean(picture) && picture.planes.length === 3;

    function receive(value, fresh, replaned) {
      picture = value;
      if (fresh) { point = null; panes = []; }
      if (replaned) panes = panes.filter((pane) => pane.plane !== value.plane);
      point = point || inStack(main(), value.shown[0] / 2, value.shown[1] / 2);
      point[main().cut.across] = value.image + 0.5;
      toggle.disabled = !possible();
      arrange();
      ask();
    }
    function arrange() {
      const shown = on && possible();
      root.classList.toggle("mv-tri", shown);
      toggle.setAttribute("aria-pressed", shown);
      if (!shown) return box.replaceChildren();
      const others = picture.planes.filter((name) => name !== picture.plane);
      if ([...box.children].map((side) => side.dataset.plane).join() !== others.join()) box.replaceChildren(...others.map(side));
    }
    function close() { picture = point = null; panes = []; toggle.disabled = true; arrange(); }
    function turn() {
      if (!possible()) return;
      on = !on;
      arrange(); ask(); does.draw();
    }

    // One request at a time: what is wanted meanwhile is asked for once it is back.
    const index = (pane) => Math.floor(point[pane.cut.across]);
    function ask() {
      if (!on || !possible()) return;
      if (asking) { late = true; return; }
      const named = picture.planes.filter((name) => name !== picture.plane).filter((name) => { const pane = of(name); return !pane || pane.image !== index(pane); });
      if (!named.length) return;
      asking = true; late = false;
      does.send("planes", { planes: named, point: point.map(Math.floor) });
    }
    const of = (name) => panes.find((pane) => pane.plane === name);
    bus.addEventListener("planes", async (event) => {
      const { study, cuts } = event.detail;
      const ready = await Promise.all(cuts.map(async (cut) => ({ ...cut, study, bitmap: await loaded(cut.src), numbers: await medvlm.numbersOf(cut.reading.values, cut.shown) })));
      asking = false;
      if (!picture || study !== picture.study) return ask();
      panes = [...panes.filter((pane) => !ready.some((one) => one.plane === pane.plane)), ...ready];
      does.draw();
      ask();
    });
    bus.addEventListener("message", () => { asking = false; if (late) ask(); });
    medvlm.on("refused", () => { asking = false; });

    // The place in the patient that all planes go through.
    function set(to) {
      const most = [0, 0, 0], { cut } = main();
      most[cut.across] = picture.count; most[cut.down] = cut.size[0]; most[cut.along] = cut.size[1];
      point = to.map((v, axis) => clamp(v, 0.5, most[axis] - 0.5));
      const wanted = Math.floor(point[cut.across]);
      if (wanted !== picture.image) does.goTo(wanted);
      ask();
      does.draw();
    }
    function click(x, y) { if (on && possible()) set(inStack(main(), x, y)); }
    bus.addEventListener("select", (event) => { // a region that is chosen in a list: all planes go through its middle
      const there = on && possible() ? does.regions().filter((r) => event.detail.includes(r.id) && !r.earlier) : [];
      const size = (r) => (r.mask ? r.mask.area : 0), largest = there.reduce((best, r) => (best && size(best) >= size(r) ? best : r), null);
      if (!largest || does.clicked()) return;
      const [x0, y0, x1, y1] = largest.box;
      set([largest.image + 0.5, (y0 + y1) / 2, (x0 + x1) / 2]);
    });

    // One of the planes beside: what lies there, and what a pointer and keys do in it.
    function side(plane) {
      const root = make("div", "mv-side"), canvas = make("canvas"), title = make("button", "mv-side-title");
      root.dataset.plane = plane; canvas.tabIndex = 0; canvas.role = "application"; canvas.ariaLabel = filled(words.planes.name, { plane }); title.type = "button";
      title.title = words.planes.enlarge;
      root.append(canvas, title, ...EDGES.map((edge) => { const letter = make("div", "mv-edge"); letter.dataset.side = edge; return letter; }));
      title.addEventListener("click", () => does.plane(plane));
      const put = (event) => {
        const pane = of(plane), frame = canvas.getBoundingClientRect();
        if (!pane) return;
        const view = viewOf(pane, root), x = (event.clientX - frame.left - view.ox) / view.zoom;
        set(inStack(pane, view.flip ? view.flip - x : x, (event.clientY - frame.top - view.oy) / view.zoom));
      };
      const step = (by, axis) => { const pane = of(plane); if (pane) set(point.map((v, i) => (i === pane.cut[axis] ? v + by : v))); };
      canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); put(event); });
      canvas.addEventListener("pointermove", (event) => { if (event.buttons) put(event); });
      canvas.addEventListener("wheel", (event) => { event.preventDefault(); event.stopPropagation(); step(Math.sign(event.deltaY), "across"); }, { passive: false });
      canvas.addEventListener("keydown", (event) => {
        const pane = of(plane), way = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
        if (!way || !pane) return;
        event.preventDefault(); event.stopPropagation();
        const axis = !event.shiftKey ? "across" : /Up|Down/.test(event.key) ? "down" : "along";
        step(axis !== "across" && pane.cut.turned[axis === "down" ? 0 : 1] ? -way : way, axis);
      });
      return root;
    }
    function viewOf(pane, root, density = 1) {
      const [w, h] = pane.shown, { clientWidth: width, clientHeight: height } = root, zoom = Math.min(width / w, height / h);
      return { zoom, ox: (width - w * zoom) / 2, oy: (height - h * zoom) / 2, width, height, density, scale: 1, flip: does.flip(w) };
    }
    function draw(context, view) {
      if (!on || !possible()) return;
      const at = inPicture(main(), point);
      cross(context, view, at, "rgba(255,216,77,.8)");
      for (const one of box.children) paint(one, view);
      root.dataset.point = point.map(Math.floor).join(" ");
    }
    function paint(root, now) {
      const pane = of(root.dataset.plane), canvas = root.firstElementChild, context = canvas.getContext("2d"), { density } = now;
      canvas.width = Math.round(root.clientWidth * density); canvas.height = Math.round(root.clientHeight * density);
      root.children[1].textContent = pane ? filled(words.planes.place, { plane: root.dataset.plane, number: pane.image + 1, count: pane.count }) : root.dataset.plane;
      if (!pane) return;
      const letters = pane.reading.letters, mirrored = { left: "right", right: "left" }, view = { ...now, ...viewOf(pane, root, density) };
      for (const edge of root.querySelectorAll("[data-side]")) edge.textContent = letters ? letters[(view.flip && mirrored[edge.dataset.side]) || edge.dataset.side] : "";
      lay(context, view);
      context.imageSmoothingQuality = "high";
      context.drawImage(levels.as(pane.bitmap, pane.numbers), 0, 0);
      const all = does.regions().filter((r) => !r.earlier);
      drawRegions(context, pane.cut.across ? cutOnce(pane, all, now.lit) : all.filter((r) => r.image === pane.image), { ...view, hover: null });
      cross(context, view, inPicture(pane, point), "rgba(255,216,77,.8)");
      root.dataset.shown = pane.image;
    }
    // Cut anew only where the regions, what is lit of them, or the picture are others.
    function cutOnce(pane, all, lit) {
      const key = [...lit].join() + "|" + all.length, kept = pane.kept;
      if (!kept || kept.key !== key || kept.first !== all[0]) pane.kept = { key, first: all[0], regions: cutRegions(all, pane, lit) };
      return pane.kept.regions;
    }
    toggle.addEventListener("click", turn);
    return { receive, draw, turn, click, close };
  }

  Object.assign(window.medvlm, { triplanar });
})();
