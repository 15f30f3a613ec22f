// Where a person is to sign in: the page, the code, the time that is left.

/**
 * @param cancel cancel(server), where it can be cancelled here
 */
function signInCard(cancel = null) {
  const left = h("span", { class: "sn-sign-in-left", role: "timer" });
  const node = h("div", { class: "sn-sign-in", role: "group", hidden: true });
  let shown = null;
  let ends = 0;
  let timer = null;

  function tick() {
    const seconds = Math.max(0, Math.round((ends - Date.now()) / 1000));
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
  }

  function draw(words) {
    const copy = h("button", { class: "sn-button sn-sign-in-copy", type: "button", onclick: () => copyText(words.user_code).then(() => fill(copy, "Copied")) }, "Copy");
    const page = /^https?:\/\//i.test(words.link) ? h("a", { class: "sn-sign-in-page", href: words.link, target: "_blank", rel: "noopener noreferrer" }, "Open the sign-in page") : h("span", {}, words.link);
    node.setAttribute("aria-label", `Sign in at ${words.server}`);
    fill(
      node,
      // A status is read out when it changes; the time beside it is not.
      h("div", { role: "status" }, h("strong", {}, `Sign in at ${words.server}`), " with the code ", h("code", { class: "sn-sign-in-code" }, words.user_code)),
      h("div", { class: "sn-sign-in-row" }, page, copy, cancel ? h("button", { class: "sn-button sn-sign-in-cancel", type: "button", onclick: () => cancel(words.server) }, "Cancel") : null, left),
      h("div", { class: "sn-hint" }, `It goes on by itself when you have signed in. The page is at ${words.address}.`),
    );
  }

  return {
    node,
    /** What is asked now; null: nothing. The same once more changes nothing, so that the focus stays. */
    take(words) {
      const same = words !== null && shown?.user_code === words.user_code && shown?.server === words.server;
      shown = words;
      node.hidden = words === null;
      if (same) return;
      clearInterval(timer);
      if (words === null) {
        fill(node);
        return;
      }
      ends = Date.now() + 1000 * words.seconds;
      draw(words);
      tick();
      timer = setInterval(tick, 1000);
    },
    close: () => clearInterval(timer),
  };
}
