// The page's English in the scripts: `words` are the texts by the place where they are shown, `filled` puts in what stands in braces.
(function () {
  "use strict";
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  Object.assign(window.medvlm, { filled });
})();
