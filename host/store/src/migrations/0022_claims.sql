-- A commit names its tenant, so its row is found by its key and the claim is compared there; and what is claimed is found by its
-- lane. So nothing asks by claim any more, and claims and commits write two indices less.
DROP INDEX run_claim;
DROP INDEX delivery_claim;
