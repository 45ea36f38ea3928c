package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"go.yaml.in/yaml/v3"
)

// passphrase is what a stack's secrets are encrypted with, and where it comes from.
type passphrase struct {
	text, where string
	missing     bool // a file that is not there
	asked       bool // Pulumi asks for it
}

// readPassphrase finds it as Pulumi does.
func readPassphrase() (passphrase, error) {
	if text, ok := os.LookupEnv("PULUMI_CONFIG_PASSPHRASE"); ok {
		return passphrase{text: text, where: "the variable PULUMI_CONFIG_PASSPHRASE"}, nil
	}
	path := os.Getenv("PULUMI_CONFIG_PASSPHRASE_FILE")
	if path == "" {
		return passphrase{asked: true}, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return passphrase{where: path, missing: true}, nil
	}
	return passphrase{text: strings.TrimSpace(string(text)), where: path}, err
}

// salts are what tells whether a passphrase is the right one, by what was encrypted with
// it. What has another provider of secrets has none.
func (s stack) salts(state string) (map[string]string, error) {
	text, err := os.ReadFile(s.file())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var settings struct{ EncryptionSalt, SecretsProvider string }
	if err := yaml.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.file(), err)
	}
	salts := map[string]string{}
	if provider := cmp.Or(settings.SecretsProvider, "passphrase"); settings.EncryptionSalt != "" && (provider == "passphrase" || provider == "default") {
		salts[s.file()] = settings.EncryptionSalt
	}
	if state != "" && state != settings.EncryptionSalt {
		salts["the state of stack "+s.name] = state
	}
	return salts, nil
}

// usesPassphrase tells whether the secrets of a new stack are the passphrase's affair.
func (s stack) usesPassphrase() bool {
	text, err := os.ReadFile(s.file())
	if err != nil {
		return true
	}
	var settings struct{ SecretsProvider string }
	_ = yaml.Unmarshal(text, &settings) // what cannot be read is told by salts
	provider := cmp.Or(settings.SecretsProvider, "passphrase")
	return provider == "passphrase" || provider == "default"
}

// checkPassphrase refuses one that is not here, or not the right one, before anything
// runs. stateSalt is the state's, empty where there is none.
func (s stack) checkPassphrase(stateSalt string) error {
	salts, err := s.salts(stateSalt)
	if err != nil || len(salts) == 0 {
		return err
	}
	p, err := readPassphrase()
	if err != nil || p.asked {
		return err
	}
	for of, salt := range salts {
		switch {
		case p.missing:
			return fmt.Errorf("%s is encrypted with a passphrase that is not here: bring the file .pulumi/passphrase of the checkout that it was made in, and put it at %s; or set PULUMI_CONFIG_PASSPHRASE. If it is lost, so are the secrets: the README's table \"When things go wrong\" says what to do",
				of, p.where)
		case !opens(p.text, salt):
			return fmt.Errorf("the passphrase in %s is not the one that %s is encrypted with: bring that one, from the checkout that it was made in. After pulumi stack change-secrets-provider it is the new one",
				p.where, of)
		}
	}
	return nil
}

// opens tells whether the passphrase is the one that the salt was made with. A salt of a
// form that is not known is for Pulumi to judge.
func opens(phrase, salt string) bool {
	parts := strings.SplitN(salt, ":", 3) // v1, the salt, and what was encrypted
	if len(parts) != 3 || parts[0] != "v1" {
		return true
	}
	raw, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil {
		return true
	}
	text, err := config.NewSymmetricCrypterFromPassphrase(phrase, raw).DecryptValue(context.Background(), parts[2])
	return err == nil && text == "pulumi"
}

// makePassphrase makes one for a first stack.
func (s stack) makePassphrase() error {
	if !s.usesPassphrase() {
		return nil
	}
	p, err := readPassphrase()
	if err != nil || !p.missing {
		return err
	}
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	if err := os.WriteFile(p.where, []byte(base64.StdEncoding.EncodeToString(raw)+"\n"), 0o600); err != nil {
		return fmt.Errorf("make a passphrase: %w", err)
	}
	return nil
}
