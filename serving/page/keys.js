// Keys of the viewer: what each does, the sheet that lists them, and a pointer that is moved by keys, so that all can be drawn without a mouse.
(function () {
  "use strict";
  const { words } = window.medvlm;
  const TOOLS = { Escape: "move", m: "ruler", b: "box", p: "plus", n: "minus", s: "scribble", l: "lasso", r: "brush", e: "eraser" };
  const STEPS = { ArrowUp: -1, ArrowDown: 1, PageUp: -5, PageDown: 5, Home: -Infinity, End: Infinity };
  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const HELD = ["box", "lasso", "ruler", "scribble", "brush", "eraser"]; // tools that are dragged
  const FAST = 12, ZOOM = 1.25, SINGLE = "medvlm.single-keys";
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text || "" });

  // `does` is what the viewer lends: whether a picture is open, and what the keys do with it.
  function keys(root, does) {
    const bar = root.querySelector(".mv-bar"), stage = root.querySelector(".mv-stage"), canvas = stage.querySelector("canvas"), cross = stage.querySelector(".mv-cross"), sheet = root.querySelector(".mv-help");
    let place = null, pressed = false;

    const rows = words.keys.sheet.flatMap(([title, lines]) => [make("h3", title), lines.reduce((list, [key, deed]) => { list.append(make("dt", key), make("dd", deed)); return list; }, document.createElement("dl"))]);
    sheet.querySelector("div").replaceChildren(...rows);
    // Who speaks to the page or presses keys unawares can have it without those that are one character (WCAG 2.1.4).
    const single = sheet.querySelector("input");
    try { single.checked = localStorage.getItem(SINGLE) !== "off"; } catch { /* nothing is kept in this browser */ }
    single.addEventListener("change", () => { try { localStorage.setItem(SINGLE, single.checked ? "on" : "off"); } catch { /* until the page is left */ } });
    const help = () => (sheet.open ? sheet.close() : sheet.showModal());
    root.querySelector("[data-read=help]").addEventListener("click", help);
    sheet.querySelector("button").addEventListener("click", () => sheet.close());
    sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });

    // The pointer that keys move: it acts as a mouse does.
    function act(type) {
      const frame = canvas.getBoundingClientRect();
      canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true, pointerId: 1000, pointerType: "mouse", button: type === "pointermove" ? -1 : 0, clientX: frame.left + place[0], clientY: frame.top + place[1] }));
    }
    function point([dx, dy], by) {
      const size = [stage.clientWidth, stage.clientHeight];
      const wanted = (place || size.map((v) => v / 2)).map((v, i) => v + [dx, dy][i] * by);
      place = wanted.map((v, i) => Math.min(size[i] - 1, Math.max(0, v)));
      if (!pressed) does.pan(...place.map((v, i) => v - wanted[i]));
      canvas.focus(); // so that Enter is not for the button of the tool
      cross.hidden = false;
      cross.style.left = place[0] + "px"; cross.style.top = place[1] + "px";
      act("pointermove");
    }
    // Left and right go along the tools, as in any toolbar.
    bar.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key], { target } = event;
      if (!by || event.shiftKey || event.altKey || typing(target)) return;
      event.preventDefault();
      const tools = [...bar.querySelectorAll("button:enabled, input:enabled, select")].filter((one) => one.offsetParent && !one.closest("[inert]"));
      tools[(tools.indexOf(target) + by + tools.length) % tools.length].focus();
    });
    function enter() {
      if (cross.hidden) return;
      const drags = HELD.includes(stage.dataset.tool);
      if (!pressed) act("pointerdown");
      if (pressed || !drags) act("pointerup");
      pressed = drags && !pressed;
    }
    function hide() {
      if (pressed) act("pointercancel");
      pressed = false; cross.hidden = true;
    }
    stage.addEventListener("pointerdown", (event) => { if (event.isTrusted) hide(); }, true);

    const deeds = { t: does.shelf, v: does.planes, z: () => does.lens(true), "?": help, f: does.fit, i: does.invert, h: does.flip, "+": () => does.zoom(ZOOM), "=": () => does.zoom(ZOOM), "-": () => does.zoom(1 / ZOOM), Delete: does.unrule, Backspace: does.unrule };
    const typing = (target) => /^(TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable || (target.tagName === "INPUT" && target.type !== "checkbox");
    function press(event) {
      const { target, key } = event, letter = key.length === 1 ? key.toLowerCase() : key;
      const there = target === document.body || root.contains(target);
      if (event.ctrlKey || event.metaKey || typing(target) || sheet.open || (key.length === 1 && !single.checked)) return;
      const button = /^(BUTTON|INPUT)$/.test(target.tagName);
      if (key === "?") { event.preventDefault(); return help(); }
      if (!does.open()) return;
      if (event.shiftKey && WAYS[key]) { event.preventDefault(); return point(WAYS[key], event.altKey ? 1 : FAST); }
      if (event.altKey) return;
      if (key === "Enter" && !button && there) return enter();
      if (TOOLS[letter]) { hide(); does.choose(TOOLS[letter]); }
      else if (STEPS[key] && (there || WAYS[key])) { event.preventDefault(); does.step(STEPS[key]); } // a list is paged by itself
      else if (/^\d$/.test(key)) does.preset(Number(key));
      else if (deeds[letter]) deeds[letter]();
      else does.other(key);
    }
    document.addEventListener("keydown", press);
    document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "z") does.lens(false); });
  }

  Object.assign(window.medvlm, { keys });
})();
