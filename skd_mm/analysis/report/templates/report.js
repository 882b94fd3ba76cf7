'use strict';
(() => {
  // Make an element: make('img', {src: '...'}, child, 'text').
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
      else if (key === 'class') element.className = value;
      else element[key] = value;
    }
    element.append(...children);
    return element;
  }

  function select(options, value, change) {
    const element = make('select', {onchange: () => change(element.value)});
    for (const [key, text] of options) element.append(make('option', {value: key, selected: key === value}, text));
    return element;
  }

  function percent(value) { return value === null ? '–' : value.toFixed(1) + ' %'; }

  const ORDERS = {
    differ: ['where methods differ most', (a, b) => b.differ - a.differ],
    name: ['by name', (a, b) => a.name.localeCompare(b.name)],
  };

  function ordered(data, order) {
    if (order in ORDERS) return [...data.items].sort(ORDERS[order][1]);
    const score = item => item.layers[order].score === null ? 101 : item.layers[order].score;
    return [...data.items].sort((a, b) => score(a) - score(b));
  }

  // Per kind of pictures: what differs, the score of an image, and the opacity of a layer at first.
  const PICTURES = {
    segmentation: {differ: 'of the pixels differ', score: 'mIoU', opacity: 65},
    detection: {differ: 'disagreement', score: 'F1', opacity: 100},
  };

  function pictures(root, data) {
    const kind = PICTURES[data.kind];
    const layers = [['truth', 'truth']];
    for (const name of data.methods) layers.push(['paint:' + name, name], ['errors:' + name, 'errors of ' + name]);
    layers.push(['none', 'image alone']);
    const last = data.methods[data.methods.length - 1];
    const state = {order: 'differ', at: 0, left: 'truth', right: 'paint:' + last, wipe: 50, opacity: kind.opacity};
    let items = ordered(data, state.order);

    const source = (item, key) => {
      if (key === 'truth') return item.truth;
      const [kind, ...name] = key.split(':');
      return kind === 'none' ? '' : item.layers[name.join(':')][kind];
    };
    const base = make('img', {alt: 'image'});
    const left = make('img', {class: 'layer', alt: ''}), right = make('img', {class: 'layer', alt: ''});
    const cut = make('div', {class: 'cut'});
    const leftName = make('span'), rightName = make('span'), title = make('span', {class: 'title'});
    const wipe = make('input', {type: 'range', min: 0, max: 100, value: state.wipe, className: 'wipe',
      ariaLabel: 'boundary of the two layers', oninput: () => { state.wipe = Number(wipe.value); draw(); }});
    const opacity = make('input', {type: 'range', min: 0, max: 100, value: state.opacity,
      oninput: () => { state.opacity = Number(opacity.value); draw(); }});
    const panels = make('div', {class: 'panels' + (data.methods.length > 5 ? ' many' : '')});
    const thumbs = make('div', {class: 'thumbs'});
    const legend = make('div', {class: 'legend'});
    for (const entry of data.legend) {
      const patch = make('i');
      patch.style.background = entry.colour;
      legend.append(make('span', {}, patch, entry.name));
    }

    function draw() {
      const item = items[state.at];
      if (base.src !== item.image) base.src = item.image;
      for (const [image, key, clip] of [[left, state.left, `inset(0 ${100 - state.wipe}% 0 0)`],
                                        [right, state.right, `inset(0 0 0 ${state.wipe}%)`]]) {
        const uri = source(item, key);
        image.style.display = uri ? '' : 'none';
        if (uri && image.src !== uri) image.src = uri;
        image.style.clipPath = clip;
        image.style.opacity = state.opacity / 100;
      }
      cut.style.left = `calc(${state.wipe}% - 1px)`;
    }

    function show() {
      const item = items[state.at];
      title.textContent = `${state.at + 1} of ${items.length}: ${item.name}, ${percent(item.differ)} ${kind.differ}`;
      leftName.textContent = '◀ ' + layers.find(entry => entry[0] === state.left)[1];
      rightName.textContent = layers.find(entry => entry[0] === state.right)[1] + ' ▶';
      panels.replaceChildren(
        make('figure', {}, make('img', {src: item.image, alt: 'image'}), make('figcaption', {}, 'image')),
        make('figure', {}, make('img', {src: item.truth, alt: 'truth'}), make('figcaption', {}, 'truth')));
      for (const name of data.methods) {
        const layer = item.layers[name];
        panels.append(make('figure', {}, make('div', {class: 'pair'},
          make('img', {src: layer.paint, alt: 'prediction of ' + name}),
          make('img', {src: layer.errors, alt: 'errors of ' + name})),
          make('figcaption', {}, `${name}: ${kind.score} ${percent(layer.score)}`)));
      }
      [...thumbs.children].forEach((thumb, i) => thumb.classList.toggle('on', i === state.at));
      draw();
    }

    function move(to) { state.at = (to + items.length) % items.length; show(); }

    function reorder(order) {
      items = ordered(data, order);
      thumbs.replaceChildren(...items.map((item, i) => make('img', {src: item.image, title: item.name, alt: item.name,
        onclick: () => move(i)})));
      move(0);
    }

    const orders = [...Object.entries(ORDERS).map(([key, value]) => [key, value[0]]),
      ...data.methods.map(name => [name, `lowest ${kind.score} of ${name}`])];
    root.append(
      make('div', {class: 'bar'},
        make('button', {type: 'button', class: 'previous', onclick: () => move(state.at - 1)}, '◀'),
        make('button', {type: 'button', class: 'next', onclick: () => move(state.at + 1)}, '▶'), title,
        make('label', {}, 'order', select(orders, state.order, reorder))),
      thumbs,
      make('div', {class: 'viewer'},
        make('div', {},
          make('div', {class: 'stage'}, base, left, right, cut), wipe,
          make('div', {class: 'sides'}, leftName, rightName),
          make('div', {class: 'bar'},
            make('label', {}, 'left', select(layers, state.left, value => { state.left = value; show(); })),
            make('label', {}, 'right', select(layers, state.right, value => { state.right = value; show(); })),
            make('label', {}, 'opacity', opacity)),
          legend),
        panels));
    reorder(state.order);
  }

  function classification(root, data) {
    const cards = make('div', {class: 'cards'});
    const shown = make('input', {type: 'range', min: 1, max: data.items.length, value: Math.min(12, data.items.length),
      className: 'shown', oninput: show});
    const count = make('span', {class: 'title'});
    let order = 'differ';

    function show() {
      const items = ordered(data, order).slice(0, Number(shown.value));
      count.textContent = `${items.length} of ${data.items.length} images`;
      cards.replaceChildren(...items.map(item => make('div', {class: 'card'},
        make('img', {src: item.image, alt: item.name}), make('b', {}, item.truth),
        ...data.methods.map(name => {
          const layer = item.layers[name];
          return make('div', {class: layer.right ? 'right' : 'wrong'}, `${name}: ${layer.label} (${percent(layer.score)})`);
        }))));
    }

    const orders = Object.entries(ORDERS).map(([key, value]) => [key, value[0]]);
    root.append(make('div', {class: 'bar'}, make('label', {}, 'images', shown), count,
      make('label', {}, 'order', select(orders, order, value => { order = value; show(); }))), cards);
    show();
  }

  const KINDS = {segmentation: pictures, detection: pictures, classification};
  document.querySelectorAll('.gallery').forEach(root => {
    const data = JSON.parse(root.nextElementSibling.textContent);
    if (data.items.length) KINDS[data.kind](root, data);
  });
})();
