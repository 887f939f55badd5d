// Rankings are data and become elements when a query is opened: a page may have a hundred thousand documents.
function element(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}
for (const browse of document.querySelectorAll(".browse")) {
  const {texts, lists} = JSON.parse(browse.querySelector("script").textContent);
  const [box, count] = browse.querySelectorAll("input, span"), list = browse.querySelector(".list");
  list.addEventListener("toggle", event => {
    const query = event.target.dataset.query;
    if (event.target.querySelector(".sides")) return;
    const sides = element("div", "sides", "");
    for (const [title, found] of lists[query] ?? []) {
      const side = element("div", "", ""), ranking = element("ol", "", "");
      for (const [id, score, relevant] of found) {
        const item = element("li", relevant ? "relevant" : "", "");
        item.append(element("span", "value", score), " ", element("span", "id", id + (relevant ? " · relevant" : "")));
        item.append(element("div", "", texts[id] ?? ""));
        ranking.append(item);
      }
      if (title) side.append(element("h3", "", title));
      side.append(ranking);
      sides.append(side);
    }
    event.target.append(element("p", "id", query), sides);
  }, true);
  const all = [...list.children].map(entry => [entry, [
    entry.textContent, entry.dataset.query,
    ...(lists[entry.dataset.query] ?? []).flatMap(([, found]) => found.flatMap(([id]) => [id, texts[id] ?? ""])),
  ]]);
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const [entry, parts] of all) {
      entry.hidden = !words.every(word => parts.some(part => part.toLowerCase().includes(word)));
      shown += !entry.hidden;
    }
    count.textContent = words.length ? `${shown} of ${all.length}` : "";
  });
}
