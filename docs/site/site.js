// What scrolls sideways can be reached by keys.
document.addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll(".md-typeset__scrollwrap")) part.tabIndex = 0
})
