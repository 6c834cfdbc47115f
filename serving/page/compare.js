// A prior beside the open study: where it is dropped, what is asked of it, and its picture, linked with the viewer's and blended into it.
(function () {
  "use strict";
  const { lay, drawRegions, words, filled } = window.medvlm;

  // A choice among the series of the prior, where there are several; returns what is told of them.
  function priorSeries(place, choose) {
    const label = document.createElement("label"), select = document.createElement("select");
    let taken = "";
    label.append(words.prior.series, select);
    label.style.flex = "none"; select.style.maxWidth = "16rem"; // the slider beside it takes the room
    select.addEventListener("change", () => { if (medvlm.leaving()) choose(Number(select.value)); else select.value = taken; });
    return (all) => {
      if (all.length > 1) place.prepend(label); else label.remove();
      select.replaceChildren(...all.map((one) => Object.assign(document.createElement("option"), { value: one.number, textContent: one.number + ": " + one.words, selected: one.taken })));
      taken = select.value;
    };
  }

  // `does` is what the viewer lends: how to send, say, place a pointer, pan, zoom, fit, draw all anew, click on an earlier region, and
  // a picture in the window that the user chose (`as`).
  function compare(root, does) {
    const find = (s) => root.querySelector(s), canvas = find(".mv-prior canvas"), context = canvas.getContext("2d");
    const slider = find(".mv-blend"), titles = { prior: find(".mv-prior .mv-title"), stage: find(".mv-stage .mv-title") };
    const series = medvlm.priorSeries(find(".mv-compare"), (number) => { does.say(words.viewer.opening, true); does.send("prior", { number }); });
    let prior = null, bitmap = null, numbers = null, dragging = 0; // `numbers`: the values behind the picture
    const share = () => (bitmap ? 1 - slider.value / 100 : 0); // of the prior in the picture of the open study
    const open = (name, on) => root.classList.toggle(name, on);

    function receive(value, image, values) {
      if (!value || !prior || value.key !== prior.key) slider.value = 100;
      prior = value; bitmap = image; numbers = values;
      root.dataset.prior = prior ? prior.key : "";
      series(prior ? prior.series : []);
      open("mv-compared", Boolean(prior)); open("mv-asking", false); open("mv-unsure", false);
      name();
    }
    function name() {
      if (prior) titles.prior.textContent = bitmap ? prior.title : words.prior.not_compared;
      titles.stage.textContent = !share() ? words.prior.current : share() === 1 ? words.prior.on_current : filled(words.prior.blended, { share: Math.round(100 * share()) });
    }

    function blend(target, { width, height }) {
      if (!share()) return;
      target.globalAlpha = share();
      target.drawImage(does.as(bitmap, numbers), 0, 0, width, height);
      target.globalAlpha = 1;
    }
    function draw({ width, height }, regions, view) {
      root.dataset.earlier = regions.length;
      if (!prior) return;
      const { density } = view;
      canvas.width = Math.round(view.width * density); canvas.height = Math.round(view.height * density);
      if (!bitmap) return;
      lay(context, view);
      context.imageSmoothingQuality = "high";
      context.drawImage(does.as(bitmap, numbers), 0, 0, width, height);
      drawRegions(context, regions, view);
    }

    let last = null;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = { ...does.place(event), moved: 0 }; });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const p = does.place(event), moved = last.moved + Math.hypot(p.x - last.x, p.y - last.y);
      if (moved > 4) does.pan(p.x - last.x, p.y - last.y);
      last = { ...p, moved };
    });
    canvas.addEventListener("pointerup", (event) => { if (last && last.moved <= 4) does.click(does.place(event)); last = null; });
    canvas.addEventListener("pointercancel", () => { last = null; });
    canvas.addEventListener("dblclick", () => does.fit());
    canvas.addEventListener("wheel", does.wheel, { passive: false });
    slider.addEventListener("input", () => { name(); does.draw(); });

    // While files are dragged over an open study, the place for a prior shows beside the rest, which opens them instead.
    root.addEventListener("dragover", () => {
      open("mv-dragging", true);
      clearTimeout(dragging);
      dragging = setTimeout(() => open("mv-dragging", false), 600);
    });
    root.addEventListener("drop", () => open("mv-dragging", false));
    const files = find(".mv-prior-files"), folder = find(".mv-prior-folder"), send = (name, data) => does.send(name, data || {});
    medvlm.intake(find(".mv-drop"), files, folder, does.say, (upload) => { open("mv-asking", false); send("prior", { upload }); });
    medvlm.bus.addEventListener("message", (event) => {
      open("mv-unsure", Boolean(event.detail.ask));
      if (!event.detail.ask) return;
      find(".mv-sure p").textContent = event.detail.ask;
      find("[data-prior-do=refuse]").focus();
    });
    const answer = (sure) => { open("mv-unsure", false); send("agree", { sure }); };
    const actions = {
      choose: () => { open("mv-asking", true); find(".mv-drop button").focus(); },
      cancel: () => { open("mv-asking", false); find("[data-prior-do=choose]").focus(); }, files: () => files.click(), folder: () => folder.click(),
      agree: () => answer(true), refuse: () => answer(false), close: () => send("close_prior"),
      swap: () => { does.say(words.prior.laying, true); send("swap"); },
    };
    for (const [name, leave] of [[".mv-drop", actions.cancel], [".mv-sure", actions.refuse]]) {
      find(name).addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); leave(); } });
    }
    for (const button of root.querySelectorAll("[data-prior-do]")) button.addEventListener("click", () => actions[button.dataset.priorDo]());

    return { receive, blend, draw, mostly: () => share() > 0.5 };
  }

  Object.assign(window.medvlm, { compare, priorSeries });
})();
