package config

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The parser of the HCL package calls itself for what stands in brackets or behind an
// operator. A file that nests without end would end the process, so what a configuration never
// needs is refused before.
const (
	maxNesting   = 16
	maxOperators = 100
)

// maxTokens bounds the parts of a file, as tokensAtMost counts them. Each takes some 100 octets of memory, twice. A domain with a
// route counts as 40.
const maxTokens = 3_000_000

// guardTokens refuses text that has too many parts, nests too deep or is full of operators, and returns where.
func guardTokens(src []byte) *fault {
	if f := crowded(src); f != nil {
		return f
	}
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	return guard(tokens)
}

func guard(tokens hclsyntax.Tokens) *fault {
	depth, operators := 0, 0
	for i := range tokens {
		t := &tokens[i]
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack:
			depth--
		case hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus,
			hclsyntax.TokenMinus, hclsyntax.TokenPercent, hclsyntax.TokenBang, hclsyntax.TokenQuestion,
			hclsyntax.TokenAnd, hclsyntax.TokenOr:
			operators++
		}
		if depth > maxNesting {
			return &fault{rng: t.Range, message: fmt.Sprintf("brackets are nested more than %d deep", maxNesting)}
		}
		if operators > maxOperators {
			return &fault{rng: t.Range, message: onlyLiterals}
		}
	}
	return nil
}

// crowded refuses text that has too many parts, before it is taken apart.
func crowded(src []byte) *fault {
	n, open := tokensAtMost(src)
	if n <= maxTokens {
		return nil
	}
	f := &fault{message: fmt.Sprintf("the file has more words and signs than a configuration can, which is %d", maxTokens)}
	if open > 0 {
		f.message = "a text that begins in this line has no end in it, so that nobody knows what all that follows is"
		f.rng.Start.Line = open
	}
	return f
}

// tokensAtMost returns how many parts a text can have at most. For what is written as configurations are it is near. Where a
// line leaves something open, what follows may be anything: each octet counts, and the second result is the line.
func tokensAtMost(src []byte) (n, open int) {
	at, number := 0, 0
	for line := range bytes.Lines(src) {
		number++
		n += 2
		text := bytes.TrimLeft(line, " \t")
		if !bytes.HasPrefix(text, []byte("#")) && !bytes.HasPrefix(text, []byte("//")) {
			parts, closed := lineTokens(text)
			if !closed {
				return n + len(src) - at, number
			}
			n += parts
		}
		at += len(line)
	}
	return n, 0
}

// lineTokens counts the words, signs and texts of a line, and reports whether each text ends in it.
func lineTokens(line []byte) (n int, closed bool) {
	if bytes.Contains(line, []byte("${")) || bytes.Contains(line, []byte("%{")) || bytes.Contains(line, []byte("<<")) || bytes.Contains(line, []byte("/*")) {
		return 0, false
	}
	quoted, word := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		isWord := c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		switch {
		case quoted && c == '\\':
			i++
			n++
		case c == '"':
			quoted, n = !quoted, n+2
		case c >= 0x80, c == '$', c == '%':
			n++
		case quoted, isWord && word, c == ' ', c == '\t', c == '\n':
		case c == '#', c == '/' && i+1 < len(line) && line[i+1] == '/': // a comment
			return n + 1, true
		case c >= '0' && c <= '9':
			n += 2 // a number, and what may stick to it
		default:
			n++
		}
		word = isWord && !quoted
	}
	return n, !quoted
}
