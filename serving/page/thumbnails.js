// Small pictures of a study's images beside the viewer, and the series that an upload holds: a click opens either.
(function () {
  "use strict";
  const { bus, words, filled } = window.medvlm;
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name || "", textContent: text || "" });
  const button = (name, text) => Object.assign(make("button", name, text), { type: "button" });

  // `does` is what the viewer lends: how to send, go to an image, and open another series.
  function thumbnails(root, does) {
    const shelf = root.querySelector(".mv-shelf"), toggle = root.querySelector("[data-read=shelf]");
    const series = shelf.querySelector(".mv-shelf-series"), images = shelf.querySelector(".mv-shelf-images");
    let picture = null, here = "", open = false; // `here`: the study whose small pictures lie on the shelf

    function receive(value, fresh) {
      picture = value;
      if (fresh) {
        series.replaceChildren(...(value.series.length > 1 ? value.series.map(card) : []));
        images.replaceChildren();
        here = "";
        show(value.series.length > 1 || (value.count > 1 && !value.volume && !value.planes.length));
      }
      mark();
    }
    function card(one) {
      const [kind, ...rest] = one.words.split(", "), item = button("mv-series-card");
      item.append(make("b", "", one.number + " " + kind), make("span", "", rest.join(", ") || filled(words.thumbnails.images, { count: one.images })));
      item.dataset.series = one.number;
      if (one.taken) item.setAttribute("aria-current", "true");
      item.addEventListener("click", () => !one.taken && does.series(one.number));
      return item;
    }
    function show(now) {
      open = now && Boolean(picture);
      shelf.hidden = !open;
      toggle.setAttribute("aria-pressed", open);
      if (open && here !== picture.study) { here = picture.study; does.send("thumbnails", {}); }
      mark();
    }
    bus.addEventListener("thumbnails", (event) => {
      if (!picture || event.detail.study !== picture.study) return;
      images.replaceChildren(...event.detail.images.map(({ image, src }) => {
        const item = button("mv-thumbnail"), small = Object.assign(new Image(), { src, alt: "" });
        item.append(small, make("span", "", String(image + 1)));
        item.dataset.number = image; item.ariaLabel = filled(words.thumbnails.image, { number: image + 1 });
        item.addEventListener("click", () => does.goTo(image));
        return item;
      }));
      mark();
    });
    // The image in view, or the nearest before it that has a small picture.
    function mark() {
      const all = [...images.children], now = picture && !picture.cut ? picture.image : -1;
      const at = all.filter((item) => Number(item.dataset.number) <= now).pop();
      for (const item of all) if (item === at) item.setAttribute("aria-current", "true"); else item.removeAttribute("aria-current");
      if (at && open) at.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    function close() { picture = null; here = ""; series.replaceChildren(); images.replaceChildren(); show(false); }
    const turn = () => show(!open);
    toggle.addEventListener("click", turn);
    return { receive, turn, close };
  }

  Object.assign(window.medvlm, { thumbnails });
})();
