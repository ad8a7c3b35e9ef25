// The reader's photo. Files go to the kernel as they are, except large ones, which the browser shrinks first:
// a Jupyter server cuts the connection at messages of some 10 MB.
const LARGEST_FILE = 4e6;
const LONGEST_SIDE = 2048;

function element(tag, className, parent, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  parent.append(node);
  return node;
}

function toJpeg(source, width, height) {
  const factor = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * factor));
  canvas.height = Math.max(1, Math.round(height * factor));
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
}

const WHY = {
  NotAllowedError: "The browser was not allowed to use the camera; allow it, or choose a file.",
  NotFoundError: "No camera was found; choose a file instead.",
  NotReadableError: "The camera is in use by another program; close it, or choose a file.",
};

function render({ model, el }) {
  const root = element("div", "course-show course-drop", el);
  root.addEventListener("keydown", (event) => {
    // JupyterLab listens on the document for plain keys: an arrow would leave the cell, x cut it.
    if (!(event.ctrlKey || event.metaKey || event.altKey)) event.stopPropagation();
  });
  const bar = element("div", "course-bar", root);
  const thumbnail = element("img", "course-thumb", bar);
  thumbnail.alt = "";
  const menu = element("select", "course-menu", bar);
  menu.setAttribute("aria-label", "photograph");
  const open = element("button", "course-button", bar, "Your photo …");
  const camera = element("button", "course-button", bar, "Camera");
  open.type = camera.type = "button";
  open.title = "Choose a picture file, or drop one here";
  const file = element("input", "course-hidden", bar);
  Object.assign(file, { type: "file", accept: "image/*" });
  const panel = element("div", "course-camera", root);
  const video = element("video", "", panel);
  Object.assign(video, { muted: true, playsInline: true });
  const panelBar = element("div", "course-bar", panel);
  const shoot = element("button", "course-button", panelBar, "Take the picture");
  const stop = element("button", "course-button", panelBar, "Close the camera");
  shoot.type = stop.type = "button";
  const message = element("div", "course-message", root);
  message.setAttribute("role", "status");
  let stream = null;

  const say = (text) => {
    message.textContent = text ? `⚠ ${text}` : "";
    message.classList.toggle("course-wrong", Boolean(text));
  };
  const fillMenu = () => {
    const own = model.get("own");
    menu.replaceChildren(...[...(own ? [own] : []), ...model.get("names")].map((name) => new Option(name)));
    menu.value = model.get("name");
  };
  const showThumbnail = () => {
    URL.revokeObjectURL(thumbnail.src);
    thumbnail.src = URL.createObjectURL(new Blob([model.get("thumbnail")], { type: "image/jpeg" }));
  };
  const send = async (blob, name) => {
    say("");
    model.send({ kind: "file", name }, undefined, [await blob.arrayBuffer()]);
  };
  const sendFile = async (chosen) => {
    if (chosen.size <= LARGEST_FILE) return send(chosen, chosen.name);
    try {
      const bitmap = await createImageBitmap(chosen, { imageOrientation: "from-image" });
      await send(await toJpeg(bitmap, bitmap.width, bitmap.height), chosen.name);
    } catch {
      const size = (chosen.size / 1e6).toFixed(1);
      say(`${chosen.name} (${size} MB) is no picture that the browser can read; a PNG, JPEG or WebP is expected.`);
    }
  };
  const closeCamera = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    panel.classList.remove("course-on");
  };
  const openCamera = async () => {
    say("");
    try {
      if (!navigator.mediaDevices) throw new Error("insecure");
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280 } });
      video.srcObject = stream;
      await video.play();
      panel.classList.add("course-on");
      shoot.focus();
    } catch (error) {
      closeCamera();
      say(WHY[error.name] ?? "The camera needs a page on localhost or https; choose a file instead.");
    }
  };

  menu.addEventListener("change", () => {
    model.set("name", menu.value);
    model.save_changes();
  });
  open.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files.length) sendFile(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  });
  camera.addEventListener("click", () => (stream ? closeCamera() : openCamera()));
  stop.addEventListener("click", () => {
    closeCamera();
    camera.focus();
  });
  shoot.addEventListener("click", async () => {
    const picture = await toJpeg(video, video.videoWidth, video.videoHeight);
    closeCamera();
    camera.focus();
    send(picture, "camera picture");
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    root.addEventListener(kind, (event) => {
      event.preventDefault();
      event.stopPropagation(); // JupyterLab would open the file in a tab
      root.classList.toggle("course-over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) sendFile(event.dataTransfer.files[0]);
    });
  }

  const sayMessage = () => say(model.get("message"));
  const watched = { names: fillMenu, own: fillMenu, name: fillMenu, thumbnail: showThumbnail, message: sayMessage };
  for (const [name, handler] of Object.entries(watched)) {
    model.on(`change:${name}`, handler);
    handler();
  }
  return () => {
    closeCamera();
    for (const [name, handler] of Object.entries(watched)) model.off(`change:${name}`, handler);
    URL.revokeObjectURL(thumbnail.src);
  };
}

export default { render };
