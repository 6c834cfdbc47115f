// Pictures and regions on a canvas: masks unpacked, drawn with their boxes and tags, and hit by a click.
(function () {
  "use strict";
  const MOST_LIT = 12; // of the regions that are lit, so many are named at once
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

  // Run lengths → what drawing and clicking need: bytes inside the mask's box, and its outline as a path in image pixels.
  function unpack(mask) {
    const [x0, y0, x1, y1] = mask.box, w = x1 - x0, h = y1 - y0;
    const inside = new Uint8Array(w * h);
    let at = 0;
    mask.runs.forEach((n, i) => { if (i % 2) inside.fill(1, at, at + n); at += n; });
    return outlined(x0, y0, w, h, inside);
  }
  function outlined(x0, y0, w, h, inside) {
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

  const loaded = (src) => new Promise((done) => {
    if (!src) return done(null);
    const image = new Image();
    image.onload = () => done(image);
    image.src = src;
  });

  // Coordinates of a context are the picture's pixels from now on. `view` says where the picture lies on the canvas (screen =
  // image pixels * zoom + offset; mirrored where `flip` is its width and not 0), how many of its pixels one of the source's is
  // (`scale`), what is shown, what is lit, what the pointer is over (`hover`), and in the list (`pointed`).
  function lay(context, { zoom, ox, oy, density, flip }) {
    context.setTransform((flip ? -1 : 1) * density * zoom, 0, 0, density * zoom, density * (ox + flip * zoom), density * oy);
  }

  // Regions over a picture, those that are lit last and brightest. Only what is lit or pointed at is named, or the only one.
  function drawRegions(context, regions, view) {
    const { ox, oy, density, lit, hover, pointed = new Set() } = view, some = regions.some((r) => lit.has(r.id));
    const bright = (r) => lit.has(r.id) || pointed.has(r.id);
    const order = regions.filter((r) => !bright(r)).concat(regions.filter(bright));
    lay(context, view);
    for (const r of order) drawRegion(context, r, view, bright(r), some && !bright(r));
    context.setTransform(density, 0, 0, density, density * ox, density * oy);
    const named = new Set(order.slice(-MOST_LIT).filter((r) => bright(r) || regions.length === 1));
    for (const r of regions.filter((r) => r.id === hover || named.has(r))) drawTag(context, r, view);
  }
  function drawRegion(context, r, { show, zoom, scale }, bright, dimmed) {
    const colour = "rgb(" + r.colour.join() + ")";
    if (r.mask && show.masks) {
      r.filled = r.filled || paint(r.mask, r.colour);
      context.globalAlpha = bright ? Math.min(1, show.opacity * 1.6) : dimmed ? show.opacity * 0.3 : show.opacity;
      context.drawImage(r.filled, r.mask.x0, r.mask.y0);
      context.globalAlpha = dimmed ? 0.35 : 1;
      context.strokeStyle = colour; context.lineWidth = (bright ? 2.5 : 1.25) / zoom; context.lineCap = "square";
      context.stroke(r.mask.outline);
    }
    if (show.boxes || !r.mask) {
      const [x0, y0, x1, y1] = r.box.map((v) => v * scale);
      context.globalAlpha = dimmed ? 0.3 : bright ? 1 : 0.75;
      context.strokeStyle = colour; context.lineWidth = (bright ? 2 : 1) / zoom;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    context.globalAlpha = 1;
  }
  function drawTag(context, r, { show, zoom, scale, ox, oy, width, height, flip, text: k = 1 }) { // `text`: how much larger than usual
    if (!show.boxes && !show.masks) return;
    context.font = 12 * k + "px system-ui, sans-serif";
    const text = r.label + "  " + (medvlm.words.marks[r.mark] || r.score.toFixed(2)), w = context.measureText(text).width + 23 * k;
    const x = clamp((flip ? flip - r.box[2] * scale : r.box[0] * scale) * zoom, -ox, width - ox - w);
    const y = clamp(r.box[1] * scale * zoom - 19 * k, -oy, height - oy - 18 * k);
    context.fillStyle = "rgba(10,11,13,.78)"; context.fillRect(x, y, w, 17 * k);
    context.fillStyle = "rgb(" + r.colour.join() + ")"; context.fillRect(x + 5 * k, y + 4 * k, 9 * k, 9 * k);
    context.fillStyle = "#f2f4f6"; context.fillText(text, x + 18 * k, y + 12.5 * k);
  }

  // The smallest region under a point of the picture.
  function hit(regions, p, scale) {
    const [x, y] = [p.ix / scale, p.iy / scale];
    const under = regions.filter((r) => (r.mask ? r.mask.has(p.ix, p.iy) : x >= r.box[0] && y >= r.box[1] && x < r.box[2] && y < r.box[3]));
    return under.sort((a, b) => (a.mask ? a.mask.area : 1e9) - (b.mask ? b.mask.area : 1e9))[0];
  }

  Object.assign(window.medvlm, { unpack, outlined, loaded, lay, drawRegions, hit });
})();
