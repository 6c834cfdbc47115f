// The archive: a search whose studies open in tabs of their own, and storing a report in its study's record.
(function () {
  "use strict";
  const { on, send, words } = window.medvlm;
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text || "" });
  const HEADS = [words.archive.date, words.archive.name, words.archive.id, words.archive.modality, words.archive.description, words.archive.objects, ""];

  function archive(element) {
    const part = (name) => element.querySelector(`[data-archive=${name}]`);
    const search = part("search"), asking = part("asking"), form = search.querySelector("form"), found = search.querySelector(".mv-archive-found");

    function busy(note) {
      for (const button of element.querySelectorAll("button")) button.disabled = Boolean(note) && button.dataset.archive !== "close";
      part("told").textContent = part("said").textContent = note;
    }
    function ask(name, data, note) {
      busy(note);
      send(name, data);
    }
    function row(study) {
      const button = Object.assign(make("button", words.archive.open_study), { type: "button" }), line = document.createElement("tr");
      button.setAttribute("aria-label", [words.archive.open_study, study.name, study.date].filter(Boolean).join(" "));
      button.addEventListener("click", () => ask("archive_open", { study: study.study }, words.archive.fetching));
      line.append(...[study.date, study.name, study.id, study.modalities, study.description, study.objects].map((text) => make("td", text)));
      line.append(make("td"));
      line.lastChild.append(button);
      return line;
    }
    function list(studies) {
      const table = document.createElement("table"), head = document.createElement("tr"), body = document.createElement("tbody");
      head.append(...HEADS.map((text) => make(text ? "th" : "td", text)));
      body.append(...studies.map(row));
      table.append(document.createElement("thead"), body);
      table.tHead.append(head);
      found.replaceChildren(...(studies.length ? [table] : []));
    }

    part("show").addEventListener("click", () => search.showModal());
    part("close").addEventListener("click", () => search.close());
    part("store").addEventListener("click", () => asking.showModal());
    part("cancel").addEventListener("click", () => asking.close());
    part("sure").addEventListener("click", () => { asking.close(); ask("archive_store", {}, words.archive.storing); });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      found.replaceChildren();
      ask("archive_search", Object.fromEntries(new FormData(form)), words.archive.searching);
    });
    on("refused", () => busy(""));
    on("archive", (told) => {
      busy("");
      part(told.opened || !search.open ? "said" : "told").textContent = told.note;
      if (told.studies) list(told.studies);
      if (told.opened) { search.close(); found.replaceChildren(); }
    });
  }

  Object.assign(window.medvlm, { archive });
})();
