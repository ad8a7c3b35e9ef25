// The picture of a live widget, with the alternative text that ipywidgets' own Image cannot carry.
function element(tag, className, parent) {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

function render({ model, el }) {
  const root = element("div", "course-show", el);
  const img = element("img", "course-picture", root);
  const message = element("div", "course-message", root);
  message.setAttribute("role", "status");
  element("div", "course-caption", root).textContent = model.get("caption");
  img.alt = model.get("alt");

  const show = () => {
    const bytes = model.get("picture");
    const old = img.src;
    img.classList.toggle("course-hidden", bytes.byteLength === 0);
    if (bytes.byteLength) img.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    URL.revokeObjectURL(old);
  };
  const say = () => {
    message.textContent = model.get("error") ? `⚠ ${model.get("error")}` : model.get("readout");
    message.classList.toggle("course-wrong", Boolean(model.get("error")));
  };
  // JupyterLab listens on the document for plain keys: an arrow in a menu would leave the cell, x cut it.
  const keep = (event) => {
    const ours = el.closest(".course-live")?.contains(event.target);
    if (ours && !(event.ctrlKey || event.metaKey || event.altKey)) event.stopPropagation();
  };
  document.body.addEventListener("keydown", keep);
  const watched = { picture: show, readout: say, error: say };
  for (const [name, handler] of Object.entries(watched)) {
    model.on(`change:${name}`, handler);
    handler();
  }
  return () => {
    document.body.removeEventListener("keydown", keep);
    for (const [name, handler] of Object.entries(watched)) model.off(`change:${name}`, handler);
    URL.revokeObjectURL(img.src);
  };
}

export default { render };
