/** The little of a framework that this page needs. */

/** An element of index.html. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element '${id}'`);
  return found as T;
}

type Child = Node | string | null;

/** A new element. Attributes of null are left out. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | null>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Terms and their values, in place of what a list had. */
export function fillTerms(list: HTMLElement, terms: readonly (readonly [string, string | Node])[]): void {
  list.replaceChildren(
    ...terms.map(([term, value]) => element('div', {}, element('dt', {}, term), element('dd', {}, value))),
  );
}
