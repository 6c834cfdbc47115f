// A report draft that a person corrects: sentences edited in place, findings judged and added, all of it marked. Text alone.
(function () {
  "use strict";
  const { bus, tell, words, filled } = window.medvlm;
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name || "", textContent: text || "" });

  // In a report what is selected is drawn on: its region on the image, or the finding that it belongs to, or the one aimed at.
  function target(selected, image, aim) {
    const here = selected.filter((r) => r.image === image), labels = new Set(selected.map((r) => r.label));
    if (here.length === 1) return { region: here[0].id, label: here[0].label };
    if (!selected.length) return aim ? { label: aim } : {};
    return labels.size === 1 && !here.length ? { label: selected[0].label } : {};
  }

  // Whether what is not saved may be lost. Before a tab closes, the browser asks by itself.
  let unsaved = false;
  for (const name of ["layer", "message"]) bus.addEventListener(name, (event) => { unsaved = Boolean(event.detail.unsaved); });
  window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
  const leaving = () => !unsaved || window.confirm(words.corrections.leaving);

  function action(sign, title, run) {
    const button = Object.assign(make("button", "mv-act", sign), { type: "button", title });
    button.setAttribute("aria-label", title);
    button.addEventListener("click", run);
    return button;
  }
  const mark = (name) => (words.marks[name] ? [make("span", "mv-changed", words.marks[name])] : []);

  // A line of the list: what it says, how it was changed, and what can be done with it.
  function line(content, name, actions) {
    const row = make("div", "mv-line" + (name ? " mv-is-" + name.replace(" ", "-") : ""));
    row.append(content, ...mark(name), ...actions);
    return row;
  }

  // `send` sends a change of the report that is named by the key of its layer.
  function corrections(send) {
    let open = null; // ends the editing that is under way

    // A field in the place of an element: Enter and leaving it take its text, Escape leaves what was there.
    function write(element, text, label, done) {
      if (open) open();
      const field = Object.assign(make("textarea", "mv-edit"), { value: text, rows: Math.min(6, 1 + Math.ceil(text.length / 48)) });
      field.setAttribute("aria-label", label);
      let over = false;
      const end = (take, back) => {
        if (over) return;
        over = true; open = null;
        const now = field.value.trim();
        field.replaceWith(element);
        if (back) (element.closest(".mv-line") || element.previousElementSibling)?.querySelector("button")?.focus();
        if (take && now && now !== text) done(now);
      };
      open = () => end(true);
      field.addEventListener("blur", () => end(true));
      field.addEventListener("keydown", (event) => {
        event.stopPropagation();
        if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); end(true, true); }
        if (event.key === "Escape") end(false, true);
      });
      element.replaceWith(field);
      field.focus();
    }

    function sentence(layer, section, one, item) {
      const change = (what, more) => send({ layer: layer.key, do: what, section: section.title, name: one.name, ...more });
      const text = one.regions.length ? item(one.text, "mv-sentence", one.regions) : make("p", "mv-sentence", one.text);
      if (section.fixed || !layer.key) return text;
      if (one.mark === "rejected") return line(text, one.mark, [action("↺", words.corrections.restore, () => change("restore"))]);
      const edit = action("✎", words.corrections.edit, () => write(text, one.text, words.corrections.sentence, (now) => change("edit", { text: now })));
      const reject = action("✕", words.corrections.reject, () => change("reject"));
      return line(text, one.mark, one.name.startsWith("=") ? [edit] : [edit, reject]);
    }
    function title(layer, section) {
      const head = make("h3", "", section.title);
      if (section.fixed) return head;
      const add = action("+", filled(words.corrections.add_to, { section: section.title }), () => {
        const place = make("i");
        row.after(place);
        write(place, "", words.corrections.new_sentence, (now) => send({ layer: layer.key, do: "add", section: section.title, text: now }));
      });
      const anew = layer.outdated === section.title ? [action(words.corrections.compare, words.corrections.compare_title, () => { tell("say", words.corrections.comparing); send({ layer: layer.key, do: "compare" }); })] : [];
      const row = line(head, "", [...anew, add]);
      return row;
    }
    function adder(layer) {
      const form = make("form", "mv-add"), field = make("input"), button = Object.assign(make("button", "", words.corrections.add), { type: "submit" });
      field.setAttribute("list", "mv-labels");
      field.setAttribute("aria-label", words.corrections.finding);
      field.placeholder = words.corrections.finding_hint;
      form.append(field, button);
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        if (!field.value.trim()) return;
        send({ layer: layer.key, do: "add finding", text: field.value });
      });
      return form;
    }
    // All that a report has beside its regions.
    function report(layer, item) {
      const rows = [];
      for (const section of layer.sections) rows.push(title(layer, section), ...section.sentences.map((one) => sentence(layer, section, one, item)));
      if (layer.disclaimer) rows.push(make("p", "mv-faint", layer.disclaimer));
      return rows;
    }
    return { report, adder, settle: () => { if (open) open(); } };
  }

  Object.assign(window.medvlm, { action, mark, corrections, target, leaving });
})();
