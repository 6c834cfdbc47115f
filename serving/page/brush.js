// Freehand tools: strokes of brush, eraser and scribble, drawn at once and sent when they end, and the buttons that undo.
(function () {
  "use strict";
  const COLOURS = { lasso: "rgba(47,191,113,.9)", cut: "rgba(229,72,77,.9)", brush: "rgba(47,191,113,.55)", eraser: "rgba(229,72,77,.55)", scribble: "rgba(255,255,255,.6)" };
  const SCRIBBLE = 3, LARGEST = 120; // width of a scribble in screen pixels; of a cursor that browsers take

  // `does` is what the viewer lends: how wide a pixel of the source is on the screen, how to send a stroke, and a step back or forth.
  function brush(root, does) {
    const stage = root.querySelector(".mv-stage"), size = root.querySelector(".mv-size input"), told = root.querySelector(".mv-size output");
    const buttons = [...root.querySelectorAll("[data-step]")];
    let tool = "move", points = null, sent = [], cuts = false; // strokes that are not seen in a mask yet
    const takes = () => tool in COLOURS;
    const thin = () => ["scribble", "lasso"].includes(tool);
    const radius = () => (thin() ? SCRIBBLE / 2 / does.pixel() : size.value / 2);

    // The cursor is as wide as what it draws, in a picture of its own: no redrawing of the image under it.
    function cursor() {
      told.textContent = size.value + " px";
      size.disabled = tool !== "brush" && tool !== "eraser";
      const wide = 2 * radius() * does.pixel() + 2, r = wide / 2;
      const ring = '<svg xmlns="http://www.w3.org/2000/svg" width="W" height="W"><circle cx="R" cy="R" r="I" fill="none" stroke="#000" stroke-width="2.5"/><circle cx="R" cy="R" r="I" fill="none" stroke="#fff"/></svg>';
      const fits = takes() && wide >= 6 && wide <= LARGEST;
      const picture = encodeURIComponent(ring.replaceAll("W", wide.toFixed(1)).replaceAll("R", r.toFixed(1)).replaceAll("I", Math.max(1, r - 1.5).toFixed(1)));
      stage.style.setProperty("--mv-cursor", fits ? "url(\"data:image/svg+xml," + picture + "\") " + Math.round(r) + " " + Math.round(r) + ", crosshair" : "crosshair");
    }
    function choose(name) { tool = name; points = null; cursor(); }
    // A lasso takes away where Shift is held as it begins.
    const begin = (p, shift) => { points = [p]; cuts = tool === "lasso" && shift; };
    const named = () => (cuts ? "cut" : tool);
    function extend(p) {
      const [x, y] = points[points.length - 1];
      if (Math.hypot(p[0] - x, p[1] - y) * does.pixel() > 1) points.push(p);
    }
    function finish() {
      if (!points) return;
      const stroke = { points, tool: named(), radius: radius() };
      points = null;
      sent.push(stroke);
      does.stroke({ stroke: stroke.points, radius: thin() ? 0 : stroke.radius, tool: stroke.tool });
    }
    const cancel = () => { points = null; };
    const settled = () => { sent.shift(); };

    // Over a picture whose context is in its own pixels, `scale` of them to one of the source's.
    function draw(context, scale) {
      for (const one of [...sent, ...(points ? [{ points, tool: named(), radius: radius() }] : [])]) {
        context.strokeStyle = COLOURS[one.tool]; context.lineWidth = Math.max(1, 2 * one.radius) * scale;
        context.lineCap = context.lineJoin = "round";
        context.beginPath();
        one.points.forEach(([x, y], i) => (i ? context.lineTo(x * scale, y * scale) : context.moveTo(x * scale, y * scale)));
        if (one.tool === "lasso" || one.tool === "cut") closed(context, one);
        if (one.points.length === 1) context.lineTo(one.points[0][0] * scale + 0.01, one.points[0][1] * scale);
        context.stroke();
      }
    }

    // What a lasso encloses, as it will be.
    function closed(context, { tool }) {
      context.fillStyle = COLOURS[tool].replace(".9", ".25");
      context.fill();
      context.closePath();
    }

    function offer({ undo, redo }) {
      buttons[0].disabled = !undo; buttons[1].disabled = !redo;
    }
    function step(by) { if (!buttons[by < 0 ? 0 : 1].disabled) does.step(by); }
    buttons.forEach((b) => b.addEventListener("click", () => step(Number(b.dataset.step))));
    document.addEventListener("keydown", (event) => {
      const key = event.key.toLowerCase(), typing = /^(TEXTAREA|SELECT)$/.test(event.target.tagName) || (event.target.tagName === "INPUT" && event.target.type !== "range");
      if (typing || !(event.ctrlKey || event.metaKey) || event.altKey || (key !== "z" && key !== "y")) return;
      event.preventDefault();
      step(key === "y" || event.shiftKey ? 1 : -1);
    });
    size.addEventListener("input", cursor);
    function press(key) {
      if (key !== "[" && key !== "]") return;
      size.value = Number(size.value) + (key === "]" ? 2 : -2);
      cursor();
    }
    return { takes, choose, begin, extend, finish, cancel, settled, draw, offer, press, cursor };
  }

  Object.assign(window.medvlm, { brush });
})();
