// Regions of a volume's slices in the other planes: cut there, and where most of them lies.
(function () {
  "use strict";
  const { outlined } = window.medvlm;
  const inside = (r, x, y) => (r.mask ? r.mask.has(x, y) : x >= r.box[0] && y >= r.box[1] && x < r.box[2] && y < r.box[3]);

  // `cut` says which axes of the stack (slice, row, column) the pictures, their rows and their columns follow. What is of one
  // label, and lit or not, is one region there, of the numbers `ids`.
  function cutRegions(regions, { cut, image, shown }, lit) {
    const groups = new Map();
    for (const r of regions) {
      const key = JSON.stringify([r.label, lit.has(r.id)]);
      groups.set(key, [...(groups.get(key) || []), r]);
    }
    return [...groups.values()].map((group) => one(group, cut, image, shown)).filter(Boolean);
  }
  function one(group, cut, image, [width, height]) {
    const [h, w] = cut.size, voxels = new Uint8Array(h * w), slices = cut.down === 0 ? h : w, steps = h + w - slices;
    const there = group.filter((r) => {
      let any = false;
      for (let t = 0; t < steps; t++) {
        if (!(cut.across === 1 ? inside(r, t, image) : inside(r, image, t))) continue;
        const [row, column] = cut.down === 0 ? [r.image, t] : [t, r.image];
        voxels[(cut.turned[0] ? h - 1 - row : row) * w + (cut.turned[1] ? w - 1 - column : column)] = 1;
        any = true;
      }
      return any;
    });
    if (!there.length) return null;
    const full = new Uint8Array(width * height), box = [width, height, 0, 0];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (!voxels[Math.floor((y * h) / height) * w + Math.floor((x * w) / width)]) continue;
        full[y * width + x] = 1;
        box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y); box[2] = Math.max(box[2], x + 1); box[3] = Math.max(box[3], y + 1);
      }
    }
    const part = new Uint8Array((box[2] - box[0]) * (box[3] - box[1])), wide = box[2] - box[0];
    for (let y = box[1]; y < box[3]; y++) part.set(full.subarray(y * width + box[0], y * width + box[2]), (y - box[1]) * wide);
    const mask = outlined(box[0], box[1], wide, box[3] - box[1], part);
    return { ...there[0], filled: null, image, box, mask, score: Math.max(...there.map((r) => r.score)), ids: group.map((r) => r.id) };
  }

  // The number of the picture that shows most of some regions: of the slice, or in another plane of the cut; null where none does.
  function most(regions, cut) {
    const areas = new Map(), add = (index, n) => areas.set(index, (areas.get(index) || 0) + n);
    for (const r of regions) {
      const [x0, y0, x1, y1] = r.box;
      if (!cut) { add(r.image, r.mask ? r.mask.area : (x1 - x0) * (y1 - y0)); continue; }
      for (let y = Math.floor(y0); y < y1; y++) for (let x = Math.floor(x0); x < x1; x++) if (inside(r, x, y)) add(cut.across === 1 ? y : x, 1);
    }
    return [...areas].reduce((best, now) => (now[1] > best[1] ? now : best), [null, 0])[0];
  }

  Object.assign(window.medvlm, { cutRegions, most });
})();
