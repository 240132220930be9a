/**
 * Renews a page in place, as often as its <main data-renew-s> says: what did not change is not touched, so that whoever
 * scrolls, selects, or has the focus somewhere is not disturbed. Without scripts the page is loaded anew.
 */

const main = document.querySelector("main");
const trouble = document.querySelector("#trouble");

/** Make `have` like `wanted`, which is of the same kind. */
const renew = (have, wanted) => {
  if (have.isEqualNode(wanted)) return;
  if (have.nodeType !== Node.ELEMENT_NODE) {
    have.nodeValue = wanted.nodeValue;
    return;
  }
  for (const { name } of [...have.attributes]) if (!wanted.hasAttribute(name)) have.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (have.getAttribute(name) !== value) have.setAttribute(name, value);
  renewChildren(have, wanted);
};

/** Children with an id stay themselves when others come before them or go; the rest is compared by place. */
const renewChildren = (parent, wanted) => {
  const named = new Map([...parent.children].filter(({ id }) => id).map((child) => [child.id, child]));
  let at = parent.firstChild;
  for (const child of [...wanted.childNodes]) {
    const have = child.id ? named.get(child.id) : at && !at.id && at.nodeName === child.nodeName ? at : null;
    if (have?.parentNode !== parent) {
      parent.insertBefore(document.importNode(child, true), at);
      continue;
    }
    while (at !== have) at = drop(at);
    renew(have, child);
    at = have.nextSibling;
  }
  while (at) at = drop(at);
};

const drop = (node) => {
  const next = node.nextSibling;
  node.remove();
  return next;
};

const look = async () => {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) throw new Error(`the service answers ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  renew(main, page.querySelector("main"));
};

const wait = () => {
  const seconds = Number(main.dataset.renewS);
  if (seconds) setTimeout(step, seconds * 1000);
};

const step = async () => {
  try {
    if (!document.hidden) await look();
    trouble.hidden = true;
  } catch (error) {
    trouble.textContent = `This page could not be renewed: ${error.message}. It is tried again.`;
    trouble.hidden = false;
  }
  wait();
};

wait();
