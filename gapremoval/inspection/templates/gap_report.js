"use strict";
{
  for (const element of document.querySelectorAll("[data-scripted]")) element.hidden = false;

  // The map: one mark at a time, by pointer or by the slider.
  const points = JSON.parse(document.getElementById("points").textContent);
  const walk = document.getElementById("walk");
  const maps = [...document.querySelectorAll("svg.map")];
  const shown = document.querySelector(".shown");
  const choose = (number) => {
    const { said, picture } = points[number];
    walk.value = number;
    for (const map of maps) {
      const box = map.querySelector(`[data-point="${number}"] > :last-child`).getBBox();
      const ring = map.querySelector(".ring");
      ring.setAttribute("cx", box.x + box.width / 2);
      ring.setAttribute("cy", box.y + box.height / 2);
      ring.removeAttribute("visibility");
    }
    const [drawing, text] = shown.children;
    text.textContent = said;
    walk.setAttribute("aria-valuetext", said);
    drawing.toggleAttribute("hidden", picture === null);
    if (picture !== null) {
      const box = document.getElementById(`picture-${picture}`).getAttribute("viewBox");
      const [, , width, height] = box.split(" ");
      drawing.setAttribute("viewBox", box);
      drawing.setAttribute("width", width);
      drawing.setAttribute("height", height);
      drawing.setAttribute("aria-label", said);
      drawing.firstElementChild.setAttribute("href", `#picture-${picture}`);
    }
  };
  for (const map of maps) {
    for (const kind of ["pointerover", "click"]) {
      map.addEventListener(kind, (event) => {
        const mark = event.target.closest("[data-point]");
        if (mark) choose(Number(mark.dataset.point));
      });
    }
  }
  walk.addEventListener("input", () => choose(Number(walk.value)));
  if (points.length) choose(0);

  // The stored queries: the first that holds what was typed.
  const query = document.getElementById("query");
  if (query) {
    const stored = [...document.querySelectorAll("[data-query]")];
    const status = document.querySelector(".chooser [role=status]");
    const show = () => {
      const typed = query.value.trim().toLowerCase();
      const found = stored.filter((each) => each.dataset.query.toLowerCase().includes(typed));
      for (const each of stored) {
        each.hidden = each !== found[0];
        each.open = each === found[0];
      }
      const others = found.length - 1;
      status.textContent = !found.length ? "No stored query holds this."
        : typed && others ? `The first of ${found.length} queries that hold this.` : "";
    };
    query.addEventListener("input", show);
    show();
  }

  const copy = document.querySelector(".copy");
  copy.addEventListener("click", async () => {
    const code = document.querySelector("#code code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected: copy it with Ctrl+C";
    }
  });

  // In a frame without an address of its own, links would load the page around it.
  if (location.protocol === "about:") {
    for (const link of document.querySelectorAll("a[href^='#']")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        document.querySelector(link.hash).scrollIntoView();
      });
    }
  }

  // In a frame, such as a notebook's, the page is as high as what it holds.
  if (window.frameElement) {
    const fit = () => {
      frameElement.style.height = `${document.documentElement.offsetHeight + 8}px`;
    };
    new ResizeObserver(fit).observe(document.body);
  }
}
