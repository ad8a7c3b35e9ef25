// Frames arrive once as JPEG; from then on the browser alone draws, so it also works without a kernel.
function element(tag, className, parent) {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

async function render({ model, el }) {
  const labels = model.get("labels");
  const bitmaps = await Promise.all(
    model.get("frames").map((bytes) => createImageBitmap(new Blob([bytes], { type: "image/jpeg" }))),
  );

  const root = element("div", "course-show", el);
  root.addEventListener("keydown", (event) => {
    // JupyterLab listens on the document for plain keys: an arrow would leave the cell, x cut it.
    if (!(event.ctrlKey || event.metaKey || event.altKey)) event.stopPropagation();
  });
  const bar = element("div", "course-bar", root);
  const play = element("button", "course-button", bar);
  play.type = "button";
  const slider = element("input", "course-range", bar);
  Object.assign(slider, { type: "range", min: 0, max: bitmaps.length - 1, step: 1 });
  slider.setAttribute("aria-label", model.get("caption") || model.get("alt"));
  const label = element("output", "course-label", bar);
  const canvas = element("canvas", "course-picture", root);
  canvas.width = bitmaps[0].width;
  canvas.height = bitmaps[0].height;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", model.get("alt"));
  if (model.get("caption")) element("div", "course-caption", root).textContent = model.get("caption");
  const context = canvas.getContext("2d");

  let timer = null;
  const show = (i) => {
    context.drawImage(bitmaps[i], 0, 0);
    slider.value = i;
    slider.setAttribute("aria-valuetext", labels[i]);
    label.textContent = labels[i];
  };
  const choose = (i) => {
    show(i);
    model.set("index", i);
    model.save_changes();
  };
  const setPlaying = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(() => choose((Number(slider.value) + 1) % bitmaps.length), 400) : null;
    play.textContent = on ? "❚❚" : "▶";
    play.setAttribute("aria-label", on ? "pause" : "play");
  };
  const follow = () => show(Math.min(Math.max(model.get("index"), 0), bitmaps.length - 1));

  play.addEventListener("click", () => setPlaying(timer === null));
  slider.addEventListener("input", () => {
    setPlaying(false);
    choose(Number(slider.value));
  });
  model.on("change:index", follow);
  setPlaying(false);
  follow();
  return () => {
    clearInterval(timer);
    model.off("change:index", follow);
    bitmaps.forEach((bitmap) => bitmap.close());
  };
}

export default { render };
