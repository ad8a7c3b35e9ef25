// A picture with keypoints: the browser finds the one that is meant and rings it, the kernel draws its detail.
const SVG = "http://www.w3.org/2000/svg";
const STEP = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
const SAME_PLACE = 6; // pixels: a second click here goes to the next keypoint of the same place

function element(tag, className, parent) {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

function showBytes(img, bytes) {
  URL.revokeObjectURL(img.src);
  img.classList.toggle("course-hidden", bytes.byteLength === 0);
  img.src = bytes.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) : "";
}

// The keypoint under a click: the nearest, or the next one where several share a place.
function nearest(points, x, y, selected) {
  const far = points.map(([px, py]) => Math.hypot(px - x, py - y));
  const order = far.map((_, i) => i).sort((a, b) => far[a] - far[b] || a - b);
  const here = order.filter((i) => far[i] <= SAME_PLACE);
  const at = here.indexOf(selected);
  return at >= 0 ? here[(at + 1) % here.length] : order[0];
}

// The keypoint one arrow key away: near, and more along the arrow than beside it.
function towards(points, selected, [dx, dy]) {
  const [x, y] = points[selected];
  let best = selected;
  let least = Infinity;
  points.forEach(([px, py], i) => {
    const along = (px - x) * dx + (py - y) * dy;
    const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    const cost = along + 2 * aside;
    if (along > 0.5 && aside <= 2 * along && cost < least) [best, least] = [i, cost];
  });
  return best;
}

function render({ model, el }) {
  const root = element("div", "course-show", el);
  const sides = element("div", "course-sides", root);
  const stage = element("div", "course-stage", sides);
  stage.tabIndex = 0;
  stage.setAttribute("role", "slider"); // a screen reader says the value's text at every step
  stage.setAttribute("aria-label", model.get("alt"));
  const img = element("img", "course-picture", stage);
  img.alt = "";
  const svg = stage.appendChild(document.createElementNS(SVG, "svg"));
  const circles = ["course-halo", "course-ring"].map((name) => {
    const circle = svg.appendChild(document.createElementNS(SVG, "circle"));
    circle.setAttribute("class", name);
    return circle;
  });
  const detail = element("img", "course-picture course-detail", sides);
  const message = element("div", "course-message", root);
  message.setAttribute("role", "status");
  if (model.get("caption")) element("div", "course-caption", root).textContent = model.get("caption");

  const ring = () => {
    const points = model.get("points");
    const i = model.get("selected");
    const [x, y, radius] = points[i] ?? [-100, -100, 0];
    circles.forEach((circle) => {
      circle.setAttribute("cx", x);
      circle.setAttribute("cy", y);
      circle.setAttribute("r", Math.max(radius, 4));
    });
    stage.setAttribute("aria-valuemin", 1);
    stage.setAttribute("aria-valuemax", points.length);
    stage.setAttribute("aria-valuenow", i + 1);
    const place = points[i] ? ` at ${Math.round(x)}, ${Math.round(y)}` : "";
    stage.setAttribute("aria-valuetext", `keypoint ${i + 1} of ${points.length}${place}`);
  };
  const choose = (i) => {
    if (i === model.get("selected")) return;
    model.set("selected", i);
    model.save_changes();
  };
  const scale = () => svg.setAttribute("viewBox", `0 0 ${img.naturalWidth} ${img.naturalHeight}`);
  const picture = () => showBytes(img, model.get("picture"));
  const showDetail = () => {
    showBytes(detail, model.get("detail"));
    detail.alt = model.get("readout") || "what the chosen keypoint is made of";
  };
  const say = () => {
    message.textContent = model.get("error") ? `⚠ ${model.get("error")}` : model.get("readout");
    message.classList.toggle("course-wrong", Boolean(model.get("error")));
  };

  img.addEventListener("load", scale);
  stage.addEventListener("click", (event) => {
    const box = img.getBoundingClientRect();
    const factor = img.naturalWidth / box.width;
    const points = model.get("points");
    if (points.length === 0) return;
    const [x, y] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
    choose(nearest(points, x, y, model.get("selected")));
    stage.focus({ preventScroll: true });
  });
  stage.addEventListener("keydown", (event) => {
    const points = model.get("points");
    const [i, last] = [model.get("selected"), points.length - 1];
    if (last < 0) return;
    const jump = { Home: 0, End: last, PageDown: Math.min(i + 1, last), PageUp: Math.max(i - 1, 0) };
    if (event.key in STEP) choose(towards(points, i, STEP[event.key]));
    else if (event.key in jump) choose(jump[event.key]);
    else if (event.key === "Enter") choose((i + 1) % points.length);
    else return;
    event.preventDefault();
    event.stopPropagation(); // else JupyterLab would go to the next cell
  });

  const watched = { points: ring, selected: ring, picture, detail: showDetail, readout: say, error: say };
  for (const [name, handler] of Object.entries(watched)) {
    model.on(`change:${name}`, handler);
    handler();
  }
  return () => {
    for (const [name, handler] of Object.entries(watched)) model.off(`change:${name}`, handler);
    [img, detail].forEach((image) => URL.revokeObjectURL(image.src));
  };
}

export default { render };
