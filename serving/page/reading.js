// What a reader of pictures has around them: slices by the wheel, the patient's sides, a scale, a ruler, the value under the
// pointer, a mirrored display, and the window by the right button.
(function () {
  "use strict";
  const NOTCH = 40; // pixels of scrolling that a slice takes; a notch of a mouse's wheel is about a hundred, and one slice
  const NICE = [1, 2, 5], LEAST = 56; // lengths of the scale are these times a power of ten; it is at least so many pixels long

  // `does` is what the viewer lends: its picture, where it lies, how to place a pointer, go on by some slices, find the region
  // under a place, and draw anew; `levels` are its windows.
  function reading(root, levels, does) {
    const find = (s) => root.querySelector(s), stage = find(".mv-stage"), canvas = find(".mv-stage canvas"), flip = find("[data-read=flip]");
    const bar = find(".mv-scale"), under = find(".mv-under");
    let picture = null, mirrored = false, hover = null, scrolled = 0, held = null, at = null;
    let rulers = []; // { key, ends: [x0, y0, x1, y1] in the source's pixels }, of all pictures of the study

    function receive(value, fresh) {
      picture = value;
      if (fresh) { rulers = []; mirrored = false; }
      tell();
    }
    const key = () => [picture.plane, picture.image].join();
    function tell() {
      const letters = picture && picture.reading.letters, turned = { left: "right", right: "left" };
      for (const edge of root.querySelectorAll("[data-edge]")) edge.textContent = letters ? letters[(mirrored && turned[edge.dataset.edge]) || edge.dataset.edge] : "";
      find(".mv-named").textContent = picture ? picture.reading.name : "";
      flip.setAttribute("aria-pressed", mirrored);
    }
    function turn() { if (!picture) return; mirrored = !mirrored; tell(); does.draw(); }

    // Lengths between two points of the source's pixels, in words.
    function length([x0, y0, x1, y1]) {
      const [high, wide] = picture.reading.spacing || [1, 1], long = Math.hypot((x1 - x0) * wide, (y1 - y0) * high);
      return long.toFixed(1) + (picture.reading.spacing ? " mm" : " px");
    }
    function scale({ zoom, scale }) {
      const known = picture.reading.spacing, one = (known ? known[1] : 1) / (zoom * scale); // of a screen's pixel
      const power = 10 ** Math.floor(Math.log10(one * LEAST));
      const long = NICE.concat(10).map((n) => n * power).find((n) => n / one >= LEAST);
      bar.firstElementChild.style.width = long / one + "px";
      bar.lastElementChild.textContent = Number(long.toPrecision(3)) + (known ? " mm" : " px");
    }
    // Over the picture, in CSS pixels of the stage.
    function draw(context, view) {
      scale(view);
      context.setTransform(view.density, 0, 0, view.density, 0, 0);
      for (const { ends } of rulers.filter((one) => one.key === key())) {
        const [x0, y0, x1, y1] = ends.map((v, i) => (i % 2 ? view.oy + v * view.scale * view.zoom : view.ox + (view.flip ? view.flip - v * view.scale : v * view.scale) * view.zoom));
        for (const [colour, wide] of [["#000", 3.5], ["#ffd84d", 1.5]]) {
          context.strokeStyle = colour; context.lineWidth = wide; context.lineCap = "round";
          context.beginPath(); context.moveTo(x0, y0); context.lineTo(x1, y1);
          for (const [x, y] of [[x0, y0], [x1, y1]]) { context.moveTo(x - 5, y); context.lineTo(x + 5, y); context.moveTo(x, y - 5); context.lineTo(x, y + 5); }
          context.stroke();
        }
        const text = length(ends);
        const k = view.text;
        context.font = 13 * k + "px system-ui, sans-serif";
        const w = context.measureText(text).width + 10 * k, x = Math.min(Math.max(x0, x1) + 8, view.width - w), y = Math.max(2, (x1 > x0 ? y1 : y0) - 9 * k);
        context.fillStyle = "rgba(10,11,13,.85)"; context.fillRect(x, y, w, 19 * k);
        context.fillStyle = "#ffd84d"; context.fillText(text, x + 5 * k, y + 14 * k);
      }
      root.dataset.rulers = rulers.filter((one) => one.key === key()).map((one) => length(one.ends)).join("; ");
      tellUnder();
    }
    function unrule() {
      const last = rulers.filter((one) => picture && one.key === key()).pop();
      rulers = rulers.filter((one) => one !== last);
      does.draw();
    }

    // The place of the pointer, and what lies there.
    const within = (p) => p.ix >= 0 && p.iy >= 0 && p.ix < picture.shown[0] && p.iy < picture.shown[1];
    function tellUnder() {
      const p = at && does.placed(at, canvas), there = p && within(p);
      under.textContent = there ? "x " + Math.floor(p.sx) + ", y " + Math.floor(p.sy) + "  ·  " + levels.value(p.ix, p.iy) : "";
    }
    function over(event) {
      at = { clientX: event.clientX, clientY: event.clientY };
      tellUnder();
      const p = does.placed(event, canvas), region = within(p) ? does.under(p) : null, id = region ? region.id : null;
      if (id === hover) return;
      hover = id;
      medvlm.tell("under", region ? region.ids || [id] : []);
      does.draw();
    }
    const clamped = (p) => [Math.min(picture.size[0], Math.max(0, p.sx)), Math.min(picture.size[1], Math.max(0, p.sy))];

    // Ahead of the viewer's own listeners: the ruler, and the right button, which drags the window.
    function down(event) {
      if (!picture || event.target !== canvas) return;
      const ruler = event.button === 0 && stage.dataset.tool === "ruler";
      if (!ruler && event.button !== 2) return;
      event.stopPropagation();
      canvas.focus();
      if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
      held = { id: event.pointerId, x: event.clientX, y: event.clientY };
      if (!ruler) return levels.grab();
      const [x, y] = clamped(does.placed(event, canvas));
      held.ruler = { key: key(), ends: [x, y, x, y] };
      rulers.push(held.ruler);
    }
    function move(event) {
      if (picture && event.target === canvas) over(event);
      if (!held || event.pointerId !== held.id) return;
      event.stopPropagation();
      if (!held.ruler) return levels.drag((event.clientX - held.x) / stage.clientWidth, (held.y - event.clientY) / stage.clientHeight);
      held.ruler.ends = [...held.ruler.ends.slice(0, 2), ...clamped(does.placed(event, canvas))];
      does.draw();
    }
    function up(event) {
      if (!held || event.pointerId !== held.id) return;
      event.stopPropagation();
      const { ruler } = held;
      held = null;
      if (ruler && ruler.ends[0] === ruler.ends[2] && ruler.ends[1] === ruler.ends[3]) rulers = rulers.filter((one) => one !== ruler);
      does.draw();
    }
    stage.addEventListener("pointerdown", down, true);
    stage.addEventListener("pointermove", move, true);
    stage.addEventListener("pointerup", up, true);
    stage.addEventListener("pointercancel", up, true);
    stage.addEventListener("contextmenu", (event) => { if (picture && event.target === canvas) event.preventDefault(); });
    canvas.addEventListener("pointerleave", () => { at = null; tellUnder(); if (hover !== null) { hover = null; medvlm.tell("under", []); does.draw(); } });

    // A stack is scrolled by the wheel; Ctrl or Cmd, and so a pinch, zooms, and so does the wheel on a single picture.
    function wheel(event) {
      if (!picture || picture.count < 2 || event.ctrlKey || event.metaKey || event.target.tagName !== "CANVAS") return;
      event.preventDefault();
      event.stopPropagation();
      const by = event.deltaY * (event.deltaMode ? 16 : 1);
      scrolled = Math.sign(by) === Math.sign(scrolled) ? scrolled + by : by;
      if (Math.abs(scrolled) < NOTCH) return;
      does.step(Math.sign(scrolled));
      scrolled = 0;
    }
    find(".mv-panes").addEventListener("wheel", wheel, { capture: true, passive: false });
    flip.addEventListener("click", turn);

    return { receive, draw, turn, unrule, hover: () => hover, flip: (width) => (mirrored ? width : 0) };
  }

  Object.assign(window.medvlm, { reading });
})();
