// Around the viewer: files in (intake), the list of findings and regions with a field for reports (panel), downloads and messages.
(function () {
  "use strict";
  const { bus, tell, on, send, words, filled } = window.medvlm;
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name || "", textContent: text || "" });

  // Files from two inputs (`files`, `folder`) or dropped on `target`, one place or several: uploaded, then `done` with the upload's name.
  // Nothing is uploaded where `may` says no.
  function intake(target, files, folder, say, done, may = () => true) {
    const chosen = (input) => { upload([...input.files].map((f) => [f, f.webkitRelativePath || f.name])); input.value = ""; };
    files.addEventListener("change", () => chosen(files));
    folder.addEventListener("change", () => chosen(folder));

    for (const place of [target].flat()) accept(place);
    function accept(place) { // what a place within it has taken is left to that
      place.addEventListener("dragover", (event) => { if (event.defaultPrevented) return; event.preventDefault(); place.classList.add("mv-over"); });
      place.addEventListener("dragleave", () => place.classList.remove("mv-over"));
      place.addEventListener("drop", (event) => { place.classList.remove("mv-over"); if (!event.defaultPrevented) take(event); });
    }
    async function take(event) {
      event.preventDefault();
      const entries = [...event.dataTransfer.items].map((i) => i.webkitGetAsEntry && i.webkitGetAsEntry()).filter(Boolean);
      const list = [];
      if (!entries.length) list.push(...[...event.dataTransfer.files].map((file) => [file, file.name]));
      for (const entry of entries) await walk(entry, "", list);
      upload(list);
    }
    async function walk(entry, path, list) {
      if (entry.isFile) return list.push([await new Promise((ok, no) => entry.file(ok, no)), path + entry.name]);
      const reader = entry.createReader();
      for (let batch; (batch = await new Promise((ok, no) => reader.readEntries(ok, no))).length;) {
        for (const child of batch) await walk(child, path + entry.name + "/", list);
      }
    }
    function upload(list) {
      if (!list.length) return say(words.files.empty);
      if (!may()) return;
      const form = new FormData(), request = new XMLHttpRequest();
      for (const [file, name] of list) form.append("files", file, name);
      request.open("POST", "uploads");
      request.setRequestHeader("x-medvlm", "1");
      request.upload.onprogress = (event) => say(event.loaded < event.total ? filled(words.files.uploaded, { share: Math.round((100 * event.loaded) / event.total) }) : words.files.reading, true);
      request.onerror = () => say(words.files.unreached);
      request.onload = () => {
        const reply = medvlm.parse(request.responseText) || {};
        if (request.status === 200) done(reply.upload);
        else say(reply.detail || words.files.failed);
        if ([401, 403].includes(request.status)) medvlm.refused.show(request.status, reply.detail);
      };
      say(words.files.uploading, true);
      request.send(form);
    }
  }

  // The field for an existing report: it folds when its text is sent, which stays there until another study is open.
  function checker(root, check) {
    const field = root.querySelector("textarea");
    let study = "";
    root.querySelector("button").addEventListener("click", () => { root.open = false; check({ text: field.value }); });
    return (now) => {
      if (study && now !== study) { field.value = ""; root.open = false; }
      study = now;
    };
  }

  // Where the focus is in a list of lines; what is returned puts it there again once they were made anew.
  function buttonAt(body) {
    const lines = () => [...body.querySelectorAll(".mv-line")], line = document.activeElement.closest(".mv-line");
    const row = lines().indexOf(line), at = row < 0 ? -1 : [...line.querySelectorAll("button")].indexOf(document.activeElement);
    return () => {
      if (at < 0) return;
      const now = lines().slice(0, row + 1).pop();
      if (now) [...now.querySelectorAll("button")].slice(0, at + 1).pop()?.focus();
    };
  }

  function panel(element) {
    const write = medvlm.corrections((data) => send("correct", data));
    const body = element.querySelector(".mv-list-body"), title = element.querySelector(".mv-list-title"), saves = element.querySelector(".mv-saves");
    const opened = checker(element.querySelector(".mv-check"), (data) => send("check", data));
    let lit = new Set(), shown = "";
    const items = () => [...body.querySelectorAll("[data-regions]")];
    const numbers = (item) => item.dataset.regions.split(" ").filter(Boolean).map(Number);

    function item(text, name, regions) {
      const button = make("button", name, text);
      button.type = "button";
      button.dataset.regions = regions.join(" ");
      button.addEventListener("click", () => tell("select", button.getAttribute("aria-pressed") === "true" ? [] : regions));
      return button;
    }
    const rows = medvlm.findings(item, (data) => send("correct", data), (data) => send("carry", data));
    function offer({ formats, carry }) {
      saves.hidden = !formats && !carry;
      const save = (formats || []).map((name) => {
        const button = make("button", "", words.panel.names[name] || name.toUpperCase());
        Object.assign(button, { type: "button", title: words.panel.formats[name] || "" }).dataset.save = name;
        button.addEventListener("click", () => tell("save", name));
        return button;
      });
      saves.replaceChildren(...(formats ? [make("span", "mv-faint", words.panel.save_as), ...save] : []));
      if (!carry) return;
      const button = Object.assign(make("button", "mv-carry", words.panel.carry), { type: "button" });
      button.title = words.panel.carry_title;
      button.addEventListener("click", () => { tell("say", words.panel.carrying); send("carry", {}); });
      saves.append(button);
    }
    function receive(layer) {
      write.settle();
      const top = layer.key === shown ? body.scrollTop : 0, focused = buttonAt(body);
      shown = layer.key;
      opened(layer.study);
      lit = new Set();
      title.textContent = layer.title || words.panel.title;
      offer(layer);
      body.replaceChildren(...rows.table(layer), ...(layer.findings ? [write.adder(layer)] : []), ...write.report(layer, item));
      if (!body.children.length) body.append(make("p", "mv-faint", layer.note || (layer.title ? words.panel.none : words.panel.empty)));
      body.scrollTop = top;
      focused();
      tell("layer", layer);
    }
    bus.addEventListener("select", (event) => {
      lit = new Set(event.detail);
      for (const button of items()) button.setAttribute("aria-pressed", numbers(button).length > 0 && numbers(button).every((n) => lit.has(n)));
      const first = items().find((b) => b.classList.contains("mv-region") && lit.has(numbers(b)[0]));
      if (first && !body.contains(document.activeElement)) first.scrollIntoView({ block: "nearest" });
    });
    bus.addEventListener("aim", (event) => {
      for (const button of items().filter((b) => b.dataset.aim)) button.setAttribute("aria-pressed", button.dataset.aim === event.detail);
    });
    on("layer", receive);
    if (!body.children.length) body.append(make("p", "mv-faint", words.panel.empty));
  }

  on("message", (message) => {
    if (message.href) Object.assign(document.createElement("a"), { href: message.href, download: message.name }).click();
  });
  for (const name of ["message", "thumbnails", "planes", "detail"]) on(name, (value) => tell(name, value));

  Object.assign(window.medvlm, { intake, panel });
})();
