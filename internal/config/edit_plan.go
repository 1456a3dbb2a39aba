package config

import "fmt"

// keepAll plans the list as it is.
func (l *list) keepAll() {
	for i := range l.entries {
		l.plan = append(l.plan, planned{old: i})
	}
}

// append adds entries at the end.
func (l *list) append(p *place, texts []string) error {
	l.keepAll()
	there := make(map[string]bool)
	for i := range l.entries {
		there[l.entries[i].key] = true
	}
	for _, text := range texts {
		key := l.setting.textKey(text)
		// Times may repeat; the rest are sets.
		if l.setting.Kind != KindTimes && there[key] {
			return fmt.Errorf("%s has %s already", p.path, text)
		}
		there[key] = true
		l.plan = append(l.plan, planned{old: -1, text: text})
	}
	return nil
}

// remove takes entries out, the first of those that are equal.
func (l *list) remove(p *place, texts []string) error {
	l.keepAll()
	at := make(map[string][]int)
	for i := range l.entries {
		at[l.entries[i].key] = append(at[l.entries[i].key], i)
	}
	for _, text := range texts {
		key := l.setting.textKey(text)
		if len(at[key]) == 0 {
			return unknown("%s has no entry %s", p.path, text)
		}
		l.plan[at[key][0]].gone = true
		at[key] = at[key][1:]
	}
	return nil
}

// set plans the list to hold these entries. As many as can keep their order stay where they
// are; a new one takes the place of one that goes there, or follows the one before it; one that
// has another place now takes its comments there.
func (l *list) set(texts []string) {
	before, after := make([]string, len(l.entries)), make([]string, len(texts))
	for i := range l.entries {
		before[i] = l.entries[i].key
	}
	for i, text := range texts {
		after[i] = l.setting.textKey(text)
	}
	pairs := common(before, after)
	moved := make(map[string][]*entry)
	i := 0
	for _, k := range append(pairs, [2]int{len(before), len(after)}) {
		for ; i < k[0]; i++ {
			moved[before[i]] = append(moved[before[i]], &l.entries[i])
		}
		i = k[0] + 1
	}
	i, j := 0, 0
	for _, k := range append(pairs, [2]int{len(before), len(after)}) {
		for ; i < k[0] || j < k[1]; i, j = i+1, j+1 {
			step := planned{old: -1}
			if i < k[0] {
				step = planned{old: i, gone: true}
			}
			if j < k[1] {
				step.text = texts[j]
				if from := moved[after[j]]; len(from) > 0 {
					step.from, moved[after[j]] = from[0], from[1:]
					step.text, step.from.away = step.from.text, true
				}
			}
			l.plan = append(l.plan, step)
		}
		if i = k[0] + 1; k[0] < len(before) {
			l.plan = append(l.plan, planned{old: k[0]})
		}
		j = k[1] + 1
	}
}
