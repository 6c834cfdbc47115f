// What the user draws for the model to see, over a picture: a box that is being drawn, and points.
(function () {
  "use strict";

  // `box` in the picture's pixels, in which the context is; `points` [x, y, positive] in the source's.
  function drawPrompt(context, box, points, { zoom, ox, oy, density, flip, scale }) {
    if (box) {
      const [x0, y0, x1, y1] = box;
      context.setLineDash([5 / zoom, 4 / zoom]); context.lineWidth = 1.5 / zoom;
      context.strokeStyle = "#fff"; context.strokeRect(x0, y0, x1 - x0, y1 - y0); context.setLineDash([]);
    }
    context.setTransform(density, 0, 0, density, density * ox, density * oy);
    context.lineWidth = 1.5;
    for (const [px, py, positive] of points) {
      const x = Math.abs(flip - px * scale) * zoom, y = py * scale * zoom;
      context.beginPath(); context.arc(x, y, 6, 0, 7); context.fillStyle = positive ? "#2fbf71" : "#e5484d"; context.fill();
      context.strokeStyle = "#fff"; context.stroke();
      context.beginPath(); context.moveTo(x - 3, y); context.lineTo(x + 3, y);
      if (positive) { context.moveTo(x, y - 3); context.lineTo(x, y + 3); }
      context.stroke();
    }
  }

  Object.assign(window.medvlm, { drawPrompt });
})();
