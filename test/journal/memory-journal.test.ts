import { journalContract } from "../contract/journal.ts";
import { memoryKind } from "../support/journals.ts";

journalContract(memoryKind(1));
