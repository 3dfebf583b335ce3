"use strict";
// Shows what is under the pointer. Places and their texts stand in the pictures; nothing is worked out here but which is nearest.
const tip = document.getElementById("tip");
for (const chart of document.querySelectorAll("svg.chart")) {
  const places = JSON.parse(chart.dataset.places);
  const cursor = chart.querySelector(".cursor");
  const hide = () => {
    tip.hidden = true;
    cursor.style.visibility = "hidden";
  };
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("pointermove", (event) => {
    if (places.length === 0) return;
    const box = chart.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
    const nearest = places.reduce((best, place) => Math.abs(place[0] - at) < Math.abs(best[0] - at) ? place : best);
    const [x, heading, rows] = nearest;
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x);
    cursor.setAttribute("y1", chart.dataset.top);
    cursor.setAttribute("y2", chart.dataset.bottom);
    cursor.style.visibility = "visible";
    const title = document.createElement("b");
    title.textContent = heading;
    tip.replaceChildren(title, ...rows.map(([name, kind, value]) => {
      const row = document.createElement("div");
      const [key, what, figure] = ["i", "span", "em"].map((tag) => document.createElement(tag));
      [key.className, what.textContent, figure.textContent] = [kind, name, value];
      row.append(...(name ? [key, what, figure] : [key, figure]));
      return row;
    }));
    tip.hidden = false;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${Math.max(8, Math.min(event.pageX + 14, room))}px`;
    tip.style.top = `${event.pageY + 16}px`;
  });
}
