// The table of what is shown: a row a label with one size and how sure it is; linked to the picture, shown or hidden, renamed, rejected.
(function () {
  "use strict";
  const { tell, action, mark, words, filled } = window.medvlm;
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name || "", textContent: text || "" });
  const MOST_ROWS = 100, FOLDED = 3; // regions of a row that are listed at all, and up to which they are at once

  // `item` makes what selects regions, `send` sends a change of the layer, `carry` what is to be carried from slice to slice.
  function findings(item, send, carry) {
    let hidden = new Set(), unfolded = new Set(), shown = "";
    const hide = () => tell("hide", [...hidden]);

    function name(layer, group) {
      const regions = group.regions, only = regions.length === 1 ? layer.regions[regions[0]] : null;
      const button = item("", only ? "mv-finding mv-region" : "mv-finding", regions), swatch = make("i", "mv-mark");
      const colour = regions.length ? layer.regions[regions[0]].colour : null;
      swatch.style.background = colour ? "rgb(" + colour.join() + ")" : "transparent";
      const text = (group.presence === "uncertain" ? filled(words.findings.unsure, group) : group.label) + (regions.length > 1 ? " × " + regions.length : "");
      button.append(swatch, make("span", "mv-label", text));
      button.title = only ? boxed(only) : regions.length ? words.findings.select : words.findings.undrawn;
      button.dataset.aim = regions.length ? "" : group.label;
      button.addEventListener("click", () => { if (!regions.length) tell("aim", group.label); });
      return button;
    }
    const boxed = (region) => filled(words.findings.boxed, { image: region.image + 1, box: region.box.map(Math.round).join(", ") });

    function eye(group) {
      const button = action("", "", () => {
        if (!hidden.delete(group.label)) hidden.add(group.label);
        set(); hide();
      });
      const set = () => {
        const off = hidden.has(group.label), title = filled(off ? words.findings.show : words.findings.hide, group);
        button.textContent = off ? "◌" : "◉"; button.title = title;
        button.setAttribute("aria-label", title);
      };
      set();
      return button;
    }
    // A field in the place of a name, which proposes the labels that are known.
    function rename(button, group, done) {
      const field = Object.assign(make("input", "mv-edit"), { value: group.rename === "name it" ? "" : group.label });
      field.setAttribute("list", "mv-labels");
      field.setAttribute("aria-label", words.findings.name_field);
      let over = false;
      const end = (take, back) => {
        if (over) return;
        over = true;
        field.replaceWith(button);
        if (back) button.focus();
        if (take && field.value.trim() && field.value.trim() !== group.label) done(field.value.trim());
      };
      field.addEventListener("blur", () => end(true));
      field.addEventListener("change", () => end(true));
      field.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "Enter") end(true, true);
        if (event.key === "Escape") end(false, true);
      });
      button.replaceWith(field);
      field.focus();
    }
    function actions(layer, group, button) {
      const change = (what, text) => send({ layer: layer.key, do: what, number: group.number, text });
      const out = group.regions.length ? [eye(group)] : [];
      if (group.rename && group.mark !== "rejected") out.push(action("✎", group.rename === "name it" ? words.findings.name : filled(words.findings.rename, group), () => rename(button, group, (text) => change("rename", text))));
      if (group.carry) out.push(action("⇅", filled(words.findings.carry, group), () => { tell("say", words.panel.carrying); carry({ layer: layer.key, number: group.number }); }));
      if (group.rename !== true) return out;
      if (group.presence === "uncertain") out.push(action("✓", words.findings.present, () => change("judge", "present")));
      const back = group.mark === "rejected" || group.mark === "changed";
      out.push(back ? action("↺", words.findings.restore, () => change("judge", "")) : action("✕", words.findings.reject, () => change("judge", "absent")));
      return out;
    }
    function linked(row, regions) {
      row.dataset.under = regions.join(" ");
      for (const [on, type] of [[true, "mouseenter"], [true, "focusin"], [false, "mouseleave"], [false, "focusout"]]) row.addEventListener(type, () => tell("hover", on ? regions : []));
      return row;
    }
    function cells(row, ...contents) {
      for (const content of contents) {
        const cell = make("td");
        cell.append(...[content].flat());
        row.append(cell);
      }
      return row;
    }
    function rowOf(layer, group, more) {
      const button = name(layer, group), row = make("tr", "mv-line" + (group.mark ? " mv-is-" + group.mark.replace(" ", "-") : ""));
      const size = Object.assign(make("span", "mv-size-of", group.size), { title: group.of || "" });
      return linked(cells(row, [button, ...mark(group.mark), ...more], size, make("span", "mv-faint", group.sure), actions(layer, group, button)), group.regions);
    }
    function part(layer, number, size) {
      const region = layer.regions[number], button = item("", "mv-region", [number]);
      button.append(make("span", "mv-label", filled(words.findings.on_image, { image: region.image + 1 })));
      button.title = boxed(region);
      const reject = layer.findings && !region.earlier ? [action("✕", words.findings.reject_region, () => send({ layer: layer.key, do: "reject region", number }))] : [];
      const row = make("tr", "mv-line mv-part" + (region.mark ? " mv-is-" + region.mark : ""));
      return linked(cells(row, [button, ...mark(region.mark)], make("span", "mv-size-of", size), make("span", "mv-faint", region.mark ? "" : region.score.toFixed(2)), reject), [number]);
    }
    function rows(layer, group) {
      if (group.regions.length < 2) return [rowOf(layer, group, [])];
      const open = unfolded.has(group.label) || group.regions.length <= FOLDED;
      const parts = group.regions.slice(0, MOST_ROWS).map((number, n) => part(layer, number, group.sizes ? group.sizes[n] : ""));
      const fold = action(open ? "▾" : "▸", words.findings.regions, () => {
        const now = parts[0].hidden;
        parts.forEach((row) => { row.hidden = !now; });
        fold.textContent = now ? "▾" : "▸";
        fold.setAttribute("aria-expanded", now);
        if (now) unfolded.add(group.label); else unfolded.delete(group.label);
      });
      fold.setAttribute("aria-expanded", open);
      parts.forEach((row) => { row.hidden = !open; });
      return [rowOf(layer, group, [fold]), ...parts];
    }

    // The table of a layer; nothing where it has no row.
    function table(layer) {
      if (layer.key !== shown) { hidden = new Set(); unfolded = new Set(); }
      shown = layer.key;
      hide();
      const earlier = new Map();
      layer.regions.forEach((r, n) => { if (r.earlier) earlier.set(r.label, [...(earlier.get(r.label) || []), n]); });
      const groups = [...(layer.groups || []), ...[...earlier].map(([label, regions]) => ({ label: filled(words.findings.earlier, { label }), regions, size: "", sure: "" }))];
      if (!groups.length) return [];
      const root = make("table", "mv-table"), head = make("tr"), body = make("tbody");
      for (const text of [words.findings.finding, words.findings.size, words.findings.confidence, ""]) head.append(text ? Object.assign(make("th", "", text), { scope: "col" }) : make("td"));
      body.append(...groups.flatMap((group) => rows(layer, group)));
      root.append(Object.assign(make("thead"), {}), body);
      root.tHead.append(head);
      return [root];
    }
    // What the pointer is over in the picture.
    medvlm.bus.addEventListener("under", ({ detail }) => {
      for (const row of document.querySelectorAll(".mv-table tr[data-under]")) row.classList.toggle("mv-pointed", detail.length > 0 && detail.some((n) => row.dataset.under.split(" ").includes(String(n))));
    });
    return { table };
  }

  Object.assign(window.medvlm, { findings });
})();
