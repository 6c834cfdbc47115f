// The magnifier: a lens under the pointer that shows the source's pixels, at more than twice their size, with their regions.
(function () {
  "use strict";
  const { bus, loaded } = window.medvlm;
  const TIMES = 2.5, SHARE = 0.24, REST = 120; // of what is shown and of the source; radius in the smaller side of the stage; ms
  const ABOVE = 20; // pixels between a finger and the lens

  // `does` is what the viewer lends: its picture, how to draw that and its regions, its window, how to send and to draw anew.
  function magnifier(root, does) {
    const stage = root.querySelector(".mv-stage"), canvas = stage.querySelector("canvas");
    let held = false, at = null, rest = 0, detail = null; // `detail`: pixels of the source, where what was sent is smaller
    const on = () => does.picture() && (held || stage.dataset.tool === "lens");

    function over(event) {
      if (event.target !== canvas) return;
      const frame = canvas.getBoundingClientRect();
      at = { x: event.clientX - frame.left, y: event.clientY - frame.top, finger: event.pointerType === "touch" };
      if (on()) does.draw();
    }
    function hold(now) { held = now; if (does.picture()) does.draw(); }
    function lens(view) {
      const { x, y, finger } = at || { x: view.width / 2, y: view.height / 2 };
      const zoom = TIMES * Math.max(view.zoom, 1 / view.scale), r = Math.max(70, SHARE * Math.min(view.width, view.height));
      const up = finger ? Math.max(r, y - r - ABOVE) : y, [left, top] = [(x - view.ox) / view.zoom, (y - view.oy) / view.zoom];
      return { x, y: up, r, left, top, view: { ...view, zoom, ox: x - left * zoom, oy: up - top * zoom } };
    }

    function draw(context, view) {
      root.dataset.lens = on() ? "on" : "";
      if (!on()) return;
      const { x, y, r, left, top, view: near } = lens(view), across = view.flip ? view.flip - left : left;
      context.save();
      context.setTransform(view.density, 0, 0, view.density, 0, 0);
      context.beginPath(); context.arc(x, y, r, 0, 7); context.clip();
      context.fillStyle = "#000"; context.fillRect(x - r, y - r, 2 * r, 2 * r);
      context.imageSmoothingEnabled = false; // the pixels themselves
      does.paint(context, near, () => finer(context, across / view.scale, top / view.scale, view.scale));
      context.restore();
      context.setTransform(view.density, 0, 0, view.density, 0, 0);
      for (const [colour, wide] of [["#000", 4], ["#f2f4f6", 1.5]]) {
        context.strokeStyle = colour; context.lineWidth = wide;
        context.beginPath(); context.arc(x, y, r, 0, 7); context.stroke();
      }
    }
    // In the picture's own pixels: those of the source where they are here, which are asked for once the pointer rests.
    function finer(context, sx, sy, scale) {
      const picture = does.picture(), wanted = JSON.stringify(does.window());
      clearTimeout(rest);
      if (scale === 1) return;
      const here = detail && detail.study === picture.study && detail.image === picture.image && detail.window === wanted;
      if (here) {
        const [x0, y0, x1, y1] = detail.box.map((v) => v * scale);
        context.drawImage(detail.bitmap, x0, y0, x1 - x0, y1 - y0);
      }
      root.dataset.detail = here ? detail.box.join(" ") : "";
      const [x0, y0, x1, y1] = here ? detail.box : [0, 0, 0, 0], edge = 120;
      const inside = here && (sx > x0 + edge || x0 === 0) && (sy > y0 + edge || y0 === 0) && (sx < x1 - edge || x1 === picture.size[0]) && (sy < y1 - edge || y1 === picture.size[1]);
      if (!inside) rest = setTimeout(() => does.send("detail", { image: picture.image, at: [sx, sy], ...does.window() }), REST);
    }
    bus.addEventListener("detail", async (event) => {
      const window = JSON.stringify(does.window());
      detail = { ...event.detail, window, bitmap: await loaded(event.detail.src) };
      if (on()) does.draw();
    });

    stage.addEventListener("pointermove", over, true);
    stage.addEventListener("pointerdown", over, true);
    return { draw, hold };
  }

  Object.assign(window.medvlm, { magnifier });
})();
