import { journalContract } from "../contract/journal.ts";
import { levelKind } from "../support/journals.ts";

journalContract(levelKind(1));
