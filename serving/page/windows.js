// Window and level: the picture made anew from the values behind it, as they were before any window; inverting; values under a point.
(function () {
  "use strict";
  const { words, filled } = window.medvlm;
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

  // Values as they are sent → numbers, row by row: whole ones come as differences along the rows.
  async function numbersOf(packed, [width, height]) {
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
    const plain = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
    if (!packed.whole) return new Float32Array(plain);
    const out = new Int16Array(plain);
    for (let y = 0; y < height; y++) for (let x = 1, at = y * width + 1; x < width; x++, at++) out[at] += out[at - 1];
    return out;
  }

  // `does` is what the viewer lends: how to draw anew.
  function windows(root, does) {
    const find = (s) => root.querySelector(s), list = find(".mv-window select"), level = find(".mv-level"), width = find(".mv-width"), invert = find("[data-read=invert]");
    let reading = null, bitmap = null, numbers = null, exact = true, eight = new WeakMap(), made = new WeakMap(); // both by picture
    let own = null, inverted = false; // the window that the user chose: [low, high]; null for the one that the picture comes in

    function receive(picture, image, values, fresh) {
      reading = picture.reading; bitmap = image; numbers = values; made = new WeakMap();
      exact = picture.shown[0] === picture.size[0];
      if (fresh) { own = null; inverted = false; }
      const names = [words.windows.as_it_comes, ...reading.presets.map((one) => one.name)].map((text, value) => ({ value, textContent: text }));
      list.replaceChildren(...[...names, { value: "own", textContent: words.windows.by_hand, hidden: true }].map((one) => Object.assign(document.createElement("option"), one)));
      tell();
    }
    const now = () => own || reading.window;
    const round = (v) => (now()[1] - now()[0] > 20 ? Math.round(v) : Number(v.toPrecision(3)));
    function tell() {
      const [low, high] = now(), at = reading.presets.findIndex((one) => own && one.low === low && one.high === high);
      list.value = own ? at + 1 || "own" : 0;
      level.value = round((low + high) / 2); width.value = round(high - low);
      invert.setAttribute("aria-pressed", inverted);
      root.dataset.window = [low, high].map(round).join(" ");
    }
    function set(low, high) { own = [low, Math.max(high, low + 0.001)]; anew(); }
    function preset(number) { // from 1; 0 is the one that the picture comes in
      const one = reading && reading.presets[number - 1];
      if (one) return set(one.low, one.high);
      if (number || !reading) return;
      own = null; anew();
    }
    function turn() { if (!reading) return; inverted = !inverted; anew(); }
    function anew() { made = new WeakMap(); tell(); does.draw(); }

    // Dragged by the share of the picture's height and width: up raises the level, right widens.
    let grabbed = null;
    const grab = () => { grabbed = now(); };
    function drag(dx, dy) {
      const [low, high] = grabbed, span = high - low, wide = Math.max(span * Math.exp(2 * dx), 0.001), middle = (low + high) / 2 + dy * Math.max(span, 1);
      set(middle - wide / 2, middle + wide / 2);
    }

    function plain(image) {
      if (eight.has(image)) return eight.get(image);
      const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      eight.set(image, context.getImageData(0, 0, image.width, image.height));
      return eight.get(image);
    }
    // What is drawn of a picture: as it came, or made of its values. Where it came without, its greys stand for the values between
    // the ends of the window that it came in.
    function as(image, values) {
      if (!image || (!own && !inverted)) return image;
      if (made.has(image)) return made.get(image);
      const [low, high] = now(), [black, white] = reading.values ? reading.window : [0, 255], out = new ImageData(image.width, image.height), rgba = out.data;
      const grey = (v, turned) => { const g = clamp(((v - low) * 255) / (high - low), 0, 255); return turned !== inverted ? 255 - g : g; };
      if (values && own) {
        for (let at = 0, to = 0; at < values.length; at++, to += 4) { rgba[to] = rgba[to + 1] = rgba[to + 2] = grey(values[at], reading.negative); rgba[to + 3] = 255; }
      } else {
        const meant = (v) => (reading.negative ? white - (v * (white - black)) / 255 : black + (v * (white - black)) / 255);
        const table = Uint8ClampedArray.from({ length: 256 }, (_, v) => (own ? grey(meant(v), reading.negative) : 255 - v)), from = plain(image).data;
        for (let at = 0; at < from.length; at++) rgba[at] = at % 4 === 3 ? 255 : table[from[at]];
      }
      const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
      canvas.getContext("2d").putImageData(out, 0, 0);
      made.set(image, canvas);
      return canvas;
    }
    const shown = () => as(bitmap, numbers);

    // What lies under a pixel of the picture, in words.
    function value(x, y) {
      const at = Math.floor(y) * bitmap.width + Math.floor(x), about = (text) => (exact ? text : filled(words.windows.about, { value: text }));
      if (numbers) return about(Number(numbers[at].toPrecision(6)) + (reading.unit ? " " + reading.unit : ""));
      const [r, g, b] = plain(bitmap).data.subarray(4 * at, 4 * at + 3);
      return about(r === g && g === b ? filled(words.windows.grey, { value: r }) : "R " + r + " G " + g + " B " + b);
    }

    list.addEventListener("change", () => preset(Number(list.value)));
    for (const field of [level, width]) {
      field.addEventListener("change", () => {
        const l = Number(level.value), w = Number(width.value);
        if (reading && Number.isFinite(l) && w > 0) set(l - w / 2, l + w / 2); else if (reading) tell();
      });
    }
    invert.addEventListener("click", turn);
    const chosen = () => ({ window: own, inverted }); // for what is saved
    return { receive, shown, as, value, preset, turn, grab, drag, chosen };
  }

  Object.assign(window.medvlm, { numbersOf, windows });
})();
