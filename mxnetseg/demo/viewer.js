// Colours the classes over the picture, and tells the class of a pixel. `element` is the component, whose content
// is replaced with every result; its events are caught here.
let opacity = 50;
let state = null;

const find = (selector) => element.querySelector(selector);

function paint() {
  const [index, canvas, viewer] = [find(".index"), find("canvas.classes"), find(".viewer")];
  if (!index || !canvas || !index.naturalWidth) return;
  const facts = JSON.parse(viewer.dataset.facts);
  const [width, height] = [index.naturalWidth, index.naturalHeight];
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(index, 0, 0);
  const pixels = context.getImageData(0, 0, width, height);
  const classes = new Uint16Array(width * height);
  for (let i = 0, p = 0; i < classes.length; i++, p += 4) {
    classes[i] = pixels.data[p] + 256 * pixels.data[p + 1];
    const color = facts.palette[classes[i]];
    pixels.data[p] = color[0];
    pixels.data[p + 1] = color[1];
    pixels.data[p + 2] = color[2];
  }
  context.putImageData(pixels, 0, 0);
  state = { facts, classes, width, height, x: width >> 1, y: height >> 1 };
  find(".slider").value = opacity;
  fade();
  viewer.classList.add("ready");
}

function fade() {
  find("canvas.classes").style.opacity = opacity / 100;
  find(".opacity output").textContent = `${opacity} %`;
}

function tell(x, y) {
  state.x = Math.min(Math.max(x, 0), state.width - 1);
  state.y = Math.min(Math.max(y, 0), state.height - 1);
  const { facts, classes, width, height } = state;
  const kind = classes[state.y * width + state.x];
  const place = [state.x * facts.size[0] / width, state.y * facts.size[1] / height].map(Math.floor);
  const swatch = document.createElement("i");
  swatch.className = "swatch";
  swatch.style.background = `rgb(${facts.palette[kind]})`;
  const name = document.createElement("b");
  name.textContent = facts.classes[kind];
  find(".readout").replaceChildren(swatch, name, ` (class ${kind}) at x ${place[0]}, y ${place[1]}`);
}

function probe(shown) {
  const mark = find(".probe");
  mark.hidden = !shown;
  mark.style.left = `${100 * (state.x + 0.5) / state.width}%`;
  mark.style.top = `${100 * (state.y + 0.5) / state.height}%`;
}

// `load` does not bubble: it is caught on its way down.
element.addEventListener("load", (event) => event.target.matches(".index") && paint(), true);

element.addEventListener("input", (event) => {
  if (!event.target.matches(".slider")) return;
  opacity = Number(event.target.value);
  fade();
});

element.addEventListener("pointermove", (event) => {
  const stage = event.target.closest(".stage");
  if (!stage || !state) return;
  const box = stage.getBoundingClientRect();
  tell(
    Math.floor((event.clientX - box.left) / box.width * state.width),
    Math.floor((event.clientY - box.top) / box.height * state.height),
  );
  probe(false);
});

element.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!event.target.matches(".stage") || !(event.key in moves) || !state) return;
  event.preventDefault();
  const step = event.shiftKey ? 1 : Math.max(1, Math.round(state.width / 50));
  tell(state.x + step * moves[event.key][0], state.y + step * moves[event.key][1]);
  probe(true);
});
